"""Line-ups: who is in them, and how reference profiles err."""

from __future__ import annotations

import numpy as np
import pytest

from afml.masking.lineup import (
    DecoyPool,
    LineupShape,
    SiteInputs,
    mosaics,
    private_lineup,
    public_lineup,
    reference_profile,
)
from afml.masking.networks.features import PanelStatistics
from crypto.public.random import source
from tests.masking.simulated import dosages

ANNOTATIONS = np.zeros((10, 4), np.float32)


def test_reference_profiles_err_at_the_rate_asked_for() -> None:
    true = np.random.default_rng(0).integers(0, 3, size=(200, 500)).astype(np.int8)
    profile = reference_profile(true, 0.05, np.random.default_rng(1).random(true.shape))
    assert np.mean(profile == -1) == pytest.approx(0.05, abs=0.003)
    wrong = (profile != true) & (profile >= 0)
    assert wrong.mean() == pytest.approx(0.05, abs=0.003)
    assert np.mean((profile[wrong] - true[wrong]) % 3 == 1) == pytest.approx(0.5, abs=0.03)
    missing = np.full((2, 50), -1, np.int8)
    assert np.all(reference_profile(missing, 0.5, np.random.default_rng(1).random(missing.shape)) == -1)


def test_mosaics_are_made_of_two_panel_people() -> None:
    panel = np.repeat(np.arange(3, dtype=np.int8)[:, None], 64, axis=1)
    made = mosaics(panel, 50, np.random.default_rng(0), windows=8)
    assert all(len(set(row)) <= 2 for row in made)
    assert np.all(np.diff(made.reshape(50, 8, 8), axis=2) == 0)


def test_a_line_up_holds_the_person_first_and_public_decoys() -> None:
    panel, people = dosages(20, 10, seed=1), dosages(3, 10, seed=2, missing=0.0)
    statistics = PanelStatistics.from_panel(panel, 2)
    pool = DecoyPool(panel, 0.0, np.random.default_rng(0), wanted=0)
    streams = [source(1, i) for i in range(3)]
    sites = SiteInputs(statistics, ANNOTATIONS)
    batch = private_lineup(people, streams, pool, sites, np.zeros(3), LineupShape(5, 0.0))
    assert batch.candidates.shape == (3, 5, 10)
    np.testing.assert_array_equal(batch.candidates[:, 0].numpy(), people)
    public = {row.tobytes() for row in np.where(panel < 0, statistics.mean, panel).astype(np.float32)}
    assert all(row.tobytes() in public for row in batch.candidates[:, 1:].reshape(-1, 10).numpy())


def test_no_public_person_is_their_own_decoy() -> None:
    panel = np.arange(6, dtype=np.int8)[:, None].repeat(10, axis=1)  # not genotypes: labels of people
    statistics = PanelStatistics.from_panel(dosages(6, 10, seed=1), 0)
    pool = DecoyPool(panel, 0.0, np.random.default_rng(0), wanted=0)
    sites = SiteInputs(statistics, ANNOTATIONS)
    batch = public_lineup(pool, sites, np.zeros(6), LineupShape(4, 0.0), 200, np.random.default_rng(1))
    first, others = batch.candidates[:, :1, 0], batch.candidates[:, 1:, 0]
    assert not bool((first == others).any())
