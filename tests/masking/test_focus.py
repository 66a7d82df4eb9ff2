"""Risk rounds that come to measure fewer sites: which, how well, within which bound."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from afml.consortium.run import Phase, RunConfig
from afml.core.errors import ConfigError
from afml.masking.chosen import with_settings
from afml.masking.focus import Looks, most_sites
from afml.masking.kind import MASKING
from afml.masking.settings import RISK, MaskingSettings, RiskSettings
from afml.masking.shrink import sparse_weights
from afml.masking.task import MaskingTask
from afml.masking.weights import Accumulated, evidence
from afml.privacy.plan import planned_events
from afml.release.expected import expectation
from afml.training.clipping import clipped_part
from afml.training.inprocess import train_in_process
from crypto.public.random import source
from tests.masking.simulated import RISK_PHASE, config, dosages, enrolled, small_task

SITES, PEOPLE, ROUNDS = 45, 60, 8
FOCUS = 5  # of 45 sites: after 4 rounds 15 are measured, after 6 five


def run(*, focus: int = FOCUS, phenotypes: int = 1, noise: float = 2.0, seed: int = 7) -> RunConfig:
    """Risk rounds alone."""
    phase = Phase(name=RISK, rounds=ROUNDS, sample_rate=1.0, clip_norm=1.0, noise_multiplier=noise, learning_rate=0.003)
    made = config(SITES, PEOPLE, phases=(phase,), seed=seed)
    return with_settings(made, MaskingSettings(risk=RiskSettings(focus=focus, phenotypes=phenotypes)))


def test_the_strongest_sites_stay_and_are_measured_as_a_slow_reference_says() -> None:
    rng = np.random.default_rng(0)
    looks, kept, seen = Looks(np.zeros(SITES), 0), set(range(SITES)), np.zeros(SITES)
    associations = np.zeros((2, SITES))
    for number in range(ROUNDS):
        if number in (4, 6):
            strength = {site: max(abs(associations[0, site]), abs(associations[1, site])) for site in kept}
            kept = set(sorted(kept, key=lambda site: (-strength[site], site))[: 15 if number == 4 else 5])
        wanted = np.array([(SITES / len(kept)) ** 0.5 if site in kept else 0.0 for site in range(SITES)])
        factors = looks.next(associations, most_sites(SITES, FOCUS, number, ROUNDS))
        np.testing.assert_array_equal(factors, wanted)
        seen += wanted**2
        looks = looks.after(factors)
        associations += factors * rng.normal(size=(2, SITES))
        associations[:, 30] = 0  # ties are kept by place
    np.testing.assert_allclose(looks.share, seen / ROUNDS)
    assert len(kept) == 5
    assert looks.share.mean() == pytest.approx(1)  # what is taken from some is given to others


@pytest.mark.parametrize("phenotypes", [1, 2])
def test_nobody_moves_a_focused_round_by_more_than_the_clip_norm(phenotypes: int) -> None:
    """Whatever the person's genotypes, at every stage, and nothing is sent of sites that are left out."""
    made = run(phenotypes=phenotypes)
    task = small_task(made)
    rng = np.random.default_rng(1)
    extreme = np.vstack([dosages(3, SITES, seed=2), np.full((1, SITES), 2), rng.integers(0, 3, (4, SITES))])
    people = enrolled(SITES, len(extreme), nodes=1)[1]
    labels = rng.integers(0, 2, (len(extreme), phenotypes)).astype(np.int8)
    people = type(people)(extreme.astype(np.int8), labels[:, 0] if phenotypes == 1 else labels)
    for number in range(ROUNDS):
        sent = [clipped_part(task, 0, 1.0, people, np.array([person]), source(0)) for person in range(len(extreme))]
        assert max(map(np.linalg.norm, sent)) <= 1.0
        measured = np.any([one.reshape(phenotypes, -1)[:, :SITES].any(axis=0) for one in sent], axis=0)
        assert measured.sum() <= (SITES if number < 4 else 15 * phenotypes if number < 6 else 5 * phenotypes)
        assert measured.any()
        task.apply(0, rng.normal(size=task.length(0)), 3 * PEOPLE)


def accumulated(task: MaskingTask) -> Accumulated:
    return task._steps.accumulated


def test_noise_is_as_large_as_the_evidence_says() -> None:
    """Noise alone in every round: in units of it, associations are as large as those of a choice among N(0, 1)."""
    made = run(noise=3.0)
    scores, shares = [], []
    for seed in range(200):
        task = small_task(made)
        rng = np.random.default_rng(seed)
        for _ in range(ROUNDS):
            task.apply(0, 3.0 * (3 / 2) ** 0.5 * rng.normal(size=task.length(0)), 3 * PEOPLE)  # t = 2 of 3 nodes
        found = evidence(made, RiskSettings(focus=FOCUS), task.public.statistics, accumulated(task))
        share = accumulated(task).share
        assert share is not None
        assert sorted(np.unique(share.round(9))) == pytest.approx([4 / 8, (4 + 2 * 3) / 8, (4 + 2 * 3 + 2 * 9) / 8])
        assert found.of_sites.shape == found.associations.shape == (SITES,)
        assert found.noise[0] == pytest.approx(found.of_sites.min(), rel=1e-3)
        unit, sampling = found.of_sites.astype(np.float64), 1 / (3 * PEOPLE)  # nobody was sampled here: take it off
        scores.append(found.associations * unit / np.sqrt(unit**2 - sampling))
        shares.append(share)
    found_, share_ = np.array(scores) ** 2, np.array(shares)
    # What was dropped first are the smaller two thirds of what was seen till then: |N(0, 1)| below 0.967.
    first = share_ == share_.min()
    assert found_[first].mean() == pytest.approx(0.275, abs=0.02)
    # What was never dropped had been chosen by a part of its noise alone, and the rest is as it is: above 1, not far.
    assert 1 < found_[share_ == share_.max()].mean() < 2


def test_a_focused_sum_is_the_mean_of_least_variance() -> None:
    """Exact sums in every round: the marginals are theirs, whatever was measured how often."""
    made, rng = run(), np.random.default_rng(3)
    task, wanted = small_task(made), rng.normal(size=SITES)
    for _ in range(ROUNDS):
        factors = task.measured()
        task.apply(0, factors * np.append(wanted, 0.0), 3 * PEOPLE)  # what people along weighted inputs add up to
    found = accumulated(task)
    assert found.share is not None
    marginal = found.weights[0] / found.share
    np.testing.assert_allclose(marginal / marginal[0], wanted / wanted[0])


def test_a_run_goes_on_where_it_was_stored() -> None:
    made, people = run(), enrolled(SITES, PEOPLE)
    whole, first = small_task(made), small_task(made)
    train_in_process(made, whole, people)
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=first.length(RISK_PHASE)) for _ in range(5)]
    for step in steps[:4]:
        first.apply(RISK_PHASE, step, 180)
    second = small_task(made)
    second.load_state(first.state())
    assert second.digest() == first.digest()
    for task in (first, second):
        task.apply(RISK_PHASE, steps[4], 180)
    assert second.digest() == first.digest()
    np.testing.assert_array_equal(first.measured(), second.measured())
    model = whole.model()
    assert model.noise.shape == (SITES,)
    assert expectation(model, whole.public.dosage) is not None
    plain = small_task(run(focus=0))
    assert not plain.model().noise.size
    assert b"risk_looks" not in plain.state()


def test_less_noise_is_penalised_less() -> None:
    features = np.eye(12, dtype=np.float32)
    marginal, noise = np.full(12, 0.3), np.full(12, 0.1)
    noise[4] = 0.2
    weights = sparse_weights(marginal, noise, features, 12)
    assert weights[4] == 0  # 0.3 is below 2.25 times 0.2
    assert (np.delete(weights, 4) > 0).all()
    alike = sparse_weights(marginal, np.full(12, 0.1), features, 12)
    np.testing.assert_array_equal(alike, sparse_weights(marginal, 0.1, features, 12))


def test_the_joint_fit_with_unequal_noise_is_at_its_minimum() -> None:
    """No small step along sites that take part lowers the objective that the docstring names."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(50, 15)).astype(np.float32)
    marginal, noise = rng.normal(size=15), rng.uniform(0.05, 0.3, 15)
    weights = sparse_weights(marginal, noise, features, 15)
    own = features.astype(np.float64)
    linked = own.T @ own
    linked = 0.5 * linked / np.mean(np.diag(linked)) + 0.5 * np.eye(15)

    def objective(v: np.ndarray) -> float:
        return float(v @ linked @ v / 2 - marginal @ v + 2.25 * (noise * np.abs(v)).sum())

    taking_part = np.abs(marginal) > 2.25 * noise
    assert 5 < taking_part.sum() < 15
    assert not weights[~taking_part].any()
    for site in np.flatnonzero(taking_part):
        for step in (-1e-3, 1e-3):
            assert objective(weights) <= objective(weights + step * np.eye(15)[site]) + 1e-7


def test_a_focus_costs_nothing_and_is_no_part_of_other_runs() -> None:
    assert planned_events(run()) == planned_events(run(focus=0))
    assert "focus" not in RiskSettings().model_dump(mode="json")


@pytest.mark.parametrize(
    ("sites", "rounds", "wanted"),
    [
        (1024, 1, [1024]),
        (1024, 2, [1024, 256]),
        (1024, 3, [1024, 1024, 256]),
        (1024, 4, [1024, 1024, 256, 64]),
        (1024, 20, [1024] * 10 + [256] * 5 + [64] * 5),
        (64, 20, [64] * 20),
        (4096, 4, [4096, 4096, 512, 64]),
    ],
)
def test_fewer_sites_are_measured_where_there_is_something_to_choose_by(
    sites: int, rounds: int, wanted: list[int]
) -> None:
    assert [most_sites(sites, 64, number, rounds) for number in range(rounds)] == wanted


def test_a_focus_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="risk rounds"):
        RiskSettings(focus=FOCUS, kept_components=2)
    twice = run().model_copy(update={"phases": run().phases * 2})
    with pytest.raises(ConfigError, match="one risk phase"):
        MASKING.check(twice)
