"""What a release can be expected to tell: each clever path beside a slow one, and known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from afml.masking.model import TrainedModel
from afml.masking.settings import RISK, ReleaseSettings
from afml.release import expected
from afml.release.expected import Expectation, Possible, expectation, prior
from afml.release.plan import LEAST_CORRELATION, ReleasePlan
from afml.release.planning import plan_release
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES, without_network


def _model(evidence: np.ndarray, noise: float = 0.05) -> TrainedModel:
    weights = np.where(np.abs(evidence) > 2, evidence, 0.0)
    if not weights.any():
        weights = evidence
    card = {"noise": [noise], "trained_on": 400, "draws": "00"}
    return TrainedModel(
        np.ones(SITES), np.ones(SITES), np.zeros((SITES, 0), np.float32), weights.astype(np.float64), np.zeros(0), card,
        evidence=evidence.astype(np.float32),
    )  # fmt: skip


def test_the_prior_is_the_most_likely_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=600)
    evidence[:30] += 4 * rng.normal(size=30)

    def likelihood(share: float, spread: float) -> float:
        def density(x: float, sd: float) -> float:
            return math.exp(-0.5 * (x / sd) ** 2) / sd

        wide = math.sqrt(1 + spread**2)
        found = sum(math.log((1 - share) * density(x, 1.0) + share * density(x, wide)) for x in evidence)
        return found + math.log(share) + 199 * math.log(1 - share)

    share, spread = prior(evidence, 0.05)
    grid = [(i / 400, s) for i in range(1, 80) for s in (1.0, 2.0, 4.0)]
    best = max(grid, key=lambda one: likelihood(*one))
    assert spread == pytest.approx(best[1])
    assert share == pytest.approx(best[0], abs=0.01)


def test_what_is_told_is_what_regressions_on_the_released_columns_say() -> None:
    """A regression per case, on many people: fit with their trait, correlate with it."""
    people = dosages(4000, SITES, seed=1, missing=0.0)
    effects = np.array([[0.4, 0.2], [0.1, -0.3]])
    known = Expectation((Possible(np.array([3, 17]), effects),), 10**9)
    released = np.zeros_like(people)
    released[:, 3], released[:, 9] = people[:, 3], np.where(people[:, 9] == 1, 1, 0)
    standard = (people - people.mean(axis=0)) / people.std(axis=0)
    slow = []
    for one in effects:
        genetic = standard[:, [3, 17]] @ one
        columns = np.column_stack([np.ones(len(people)), released[:, 3], released[:, 9]])
        fitted = columns @ np.linalg.lstsq(columns, genetic, rcond=None)[0]
        slow.append(fitted.std())
    assert known.told(people, released)[0] == pytest.approx(np.mean(slow), abs=0.005)
    # The same with few to learn from is less, and a release of nothing tells nothing.
    few = Expectation(known.traits, 50).told(people, released)[0]
    assert 0 < few < known.told(people, released)[0]
    assert known.told(people, np.zeros_like(people)) == (0.0,)


def test_columns_that_others_make_count_once() -> None:
    people = dosages(500, SITES, seed=1, missing=0.0)
    released = np.zeros_like(people)
    released[:, :6] = people[:, [0, 0, 0, 1, 1, 2]]
    assert expected._basis(released).shape[1] == 3


def test_noise_alone_promises_next_to_nothing() -> None:
    told = []
    for seed in range(6):
        model = _model(np.random.default_rng(seed).normal(size=SITES))
        plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5), people_per_file=100)
        told.append(max(plan.expected))
    assert np.median(told) < LEAST_CORRELATION


def test_a_strong_site_is_expected_and_released() -> None:
    evidence = np.random.default_rng(3).normal(size=SITES)
    evidence[8] = 9.0
    plan = plan_release(_model(evidence), PANEL, ReleaseSettings(min_group_size=5), people_per_file=100)
    assert 0.3 < plan.expected[0] < 0.5  # 9 standard deviations of 0.05
    assert plan.at_chance == ""
    assert any(site == 8 for pattern in plan.codebook.patterns for site, _ in pattern)


def test_a_disease_at_chance_is_said_whatever_a_release_tells_beside_it() -> None:
    """Components, of which nothing is expected, and a class that is easily told."""
    quiet, loud = np.full(SITES, 1e-3), np.full(SITES, 1e-3)
    loud[8] = 9.0
    plain = _model(quiet)
    component = np.where(np.arange(SITES) == 5, 1.0, 0.0)
    kept = replace(
        plain, weights=np.stack([plain.weights, component]), evidence=plain.evidence.reshape(1, -1),
        card=plain.card | {RISK: {"traits": [{"name": "gout"}], "kept_components": 1}},
    )  # fmt: skip
    sexes = {"name": "sex", "classes": ["female", "male"], "source": "people"}
    classed = replace(
        plain, weights=np.stack([plain.weights, _model(loud).weights]), evidence=np.stack([quiet, loud]),
        card=plain.card | {"noise": [0.05, 0.05], RISK: {"traits": [{"name": "gout"}], "attributes": [sexes]}},
    )  # fmt: skip
    for model in (kept, classed):
        plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5), people_per_file=100)
        assert plan.expected[0] < LEAST_CORRELATION
        assert plan.at_chance
        assert all(trial.by_expectation == (model is classed) for trial in plan.trials)
    assert max(plan.expected) > LEAST_CORRELATION


def test_where_nothing_is_expected_nobody_is_told_that_most_is() -> None:
    told = []
    for strong in (0.0, 9.0):
        evidence = np.full(SITES, 1e-3)
        evidence[8] += strong
        plan = plan_release(_model(evidence), PANEL, ReleaseSettings(min_group_size=5), people_per_file=100)
        assert bool(plan.at_chance) == (not strong)
        told.append(plan.reason)
    assert f"{plan.method}, expected to tell most of the trait; held-out" in told[1]
    assert ", expected to tell next to nothing of the trait, as every other method; held-out panel people" in told[0]


def test_without_evidence_methods_are_chosen_by_what_they_carry(model: TrainedModel) -> None:
    bare = without_network(model)
    silent = TrainedModel(bare.mean, bare.scale, bare.annotations, bare.weights, np.zeros(0), bare.card)
    assert expectation(silent, PANEL) is None
    plan = plan_release(silent, PANEL, ReleaseSettings(min_group_size=5))
    assert plan.expected == ()
    assert plan.at_chance == ""
    most = max(one.preferred(one.explained) for one in plan.trials)
    assert plan.method in {one.method for one in plan.trials if one.preferred(one.explained) == most}


def test_a_plan_remembers_what_was_expected(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5))
    again = ReleasePlan.from_dict(model, plan.to_dict())
    assert again.expected == plan.expected
    assert again.trials == plan.trials
    older = plan.to_dict()
    del older["expected"], older["scale"]
    for trial in older["trials"]:
        del trial["expected"], trial["asked"]
    assert ReleasePlan.from_dict(model, older).at_chance == ""
