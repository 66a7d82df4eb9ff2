"""Levels of the score, shown as any genotype: what they can do where groups are large, and what they must not."""

from __future__ import annotations

import numpy as np
import pytest

from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.codebook import common_genotypes
from afml.release.expected import Expectation, Possible
from afml.release.grouping import assign_groups
from afml.release.levels import METHOD
from afml.release.method import METHODS
from afml.release.planning import untried_plan
from afml.release.quantiser import learn
from afml.release.released import apply_plan
from afml.release.table import Decoder
from afml.release.trial import hold_trial
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, without_network

PEOPLE = dosages(600, 60, seed=2, missing=0.0)
SCORE = PEOPLE[:, :20] @ np.linspace(1, 0.2, 20)


def _explained(told: np.ndarray) -> float:
    return float(1 - np.mean((told - SCORE) ** 2) / SCORE.var())


def test_where_groups_are_large_levels_come_closer_to_bins_than_other_genotypes_do() -> None:
    """Groups of a quarter of a file: at most four patterns, each carried by as many people of the right score."""
    usual = learn(PEOPLE, SCORE, common_genotypes(PEOPLE), patterns=4, min_share=0.25)
    pool = common_genotypes(PEOPLE, (0, 1, 2))
    levels = learn(PEOPLE, SCORE, pool, patterns=4, min_share=0.25, tabled=True)
    reached = [
        _explained(book.centroids[assign_groups(book, PEOPLE, SCORE, 150), 0]) if len(book.patterns) > 1 else 0.0
        for book in (usual, levels)
    ]
    edges = np.quantile(SCORE, [0.25, 0.5, 0.75])
    bins = np.searchsorted(edges, SCORE)
    means = np.array([SCORE[bins == one].mean() for one in range(4)])
    assert reached[0] < reached[1] - 0.1
    assert reached[1] > 0.7 * _explained(means[bins])


def test_genotypes_of_major_alleles_are_among_the_candidates() -> None:
    pool = common_genotypes(PEOPLE, (0, 1, 2))
    assert {value for ((_, value),) in pool} == {0, 1, 2}
    assert {value for ((_, value),) in common_genotypes(PEOPLE)} == {1, 2}
    for ((site, value),) in pool:
        assert np.mean(PEOPLE[:, site] == value) >= 0.04
    assert len(pool) == sum(np.mean(PEOPLE[:, s] == v) >= 0.04 for s in range(60) for v in (0, 1, 2))


def test_one_site_may_stand_for_several_levels_and_the_empty_pattern_for_any() -> None:
    people = np.repeat(np.arange(3, dtype=np.int8), 50)[:, None]  # one site
    score = np.array([0.0, 1.0, 5.0])[people[:, 0]]
    pool = common_genotypes(people, (0, 1, 2))
    tabled = learn(people, score, pool, patterns=3, tabled=True)
    assert len(tabled.patterns) == 3
    assert _told(tabled.centroids[tabled.assign(people, score), 0], score) == pytest.approx(1.0)
    usual = learn(people, score, pool, patterns=3)
    assert len(usual.patterns) == 2
    assert usual.centroids[0, 0] == pytest.approx(score.mean())


def _told(told: np.ndarray, score: np.ndarray) -> float:
    return float(1 - np.mean((told - score) ** 2) / score.var())


def test_what_is_expected_is_what_the_table_tells(model: TrainedModel) -> None:
    """Not what dosages would: a genotype of two major alleles looks like none in them."""
    people = np.repeat(np.arange(3, dtype=np.int8), 400)[:, None]
    told = np.where(people == 0, -1.0, 1.0)  # the pattern 0/0, and nothing
    known = Expectation((Possible(np.array([0]), np.full((3, 1), 0.5)),), 10_000)
    assert known.told(people, told)[0] == pytest.approx(
        0.5 * abs(np.corrcoef(people[:, 0], told[:, 0])[0, 1]), abs=0.01
    )
    assert known.told(people, np.zeros_like(people)) == (0.0,)
    bare = without_network(model)
    settings = ReleaseSettings(method="levels", min_group_size=5, patterns=6)
    trial = hold_trial(bare, PANEL, settings, METHOD, 40)
    by_dosages = type(METHOD)()
    by_dosages.tabled = False
    assert trial.explained == hold_trial(bare, PANEL, settings, by_dosages, 40).explained
    assert trial.expected != hold_trial(bare, PANEL, settings, by_dosages, 40).expected


def test_a_file_is_released_in_groups_of_true_genotypes_and_read_by_the_table(model: TrainedModel) -> None:
    bare = without_network(model)
    plan = untried_plan(bare, PANEL, ReleaseSettings(method="levels", min_group_size=6, patterns=6), 50)
    people = dosages(50, PANEL.shape[1], seed=77)
    released = apply_plan(plan, people)
    assert released.min_group_size >= 6
    assert np.all((released.dosage == -1) | (released.dosage == people))
    assert METHODS.get("levels").tabled
    told = Decoder(plan, PANEL)(released.dosage)[:, 0]
    assert len(np.unique(told)) == released.patterns_used > 1
    assert np.corrcoef(told, bare.risk_score(people))[0, 1] > 0.5
