"""Several phenotypes in one run: one update vector, one clip, one release."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.core.errors import InputError
from afml.core.run import GameSettings, Phase, ReleaseSettings, RiskSettings, RunConfig
from afml.models.risk import RiskModel, with_constant
from afml.training.clipping import unflatten
from afml.training.cohort import Cohort
from afml.training.inprocess import train_in_process
from afml.training.program import Program, parameter_counts
from afml.training.release import apply_plan, plan_release
from afml.training.risk import risk_loss
from crypto.public.random import source
from tests.training.simulated import config, dosages, sites_panel

SITES, PEOPLE, RISK, GAME = 24, 60, 0, 1
CAUSAL = ((2, 9), (15, 20))


def _phenotypes(dosage: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = []
    for sites in CAUSAL:
        liability = np.maximum(dosage[:, sites], 0).sum(axis=1) + 0.5 * rng.normal(size=len(dosage))
        columns.append((liability > np.median(liability)).astype(np.int8))
    return np.stack(columns, axis=1)


def _cohorts(people: int) -> dict[int, Cohort]:
    made = {}
    for node in (1, 2, 3):
        dosage = dosages(people, SITES, seed=node)
        made[node] = Cohort(dosage, _phenotypes(dosage, node))
    return made


def _config(people: int = PEOPLE, **changes: object) -> RunConfig:
    return config(SITES, people, risk=RiskSettings(phenotypes=2), **changes)


@pytest.fixture(scope="module")
def program() -> Program:
    made = Program(_config(), sites_panel(SITES), dosages(80, SITES, seed=0))  # type: ignore[arg-type]
    cohort = _cohorts(PEOPLE)[1]
    made.apply(RISK, made.private_update(RISK, cohort, source(1, "a"), 0.1), PEOPLE)
    made.load_public(made.train_public())
    return made


def test_lengths_are_those_that_a_configuration_declares(program: Program) -> None:
    risk, game = parameter_counts(SITES, 4, program.config.game, phenotypes=2)
    assert (program.parameters(RISK), program.parameters(GAME)) == (risk, game)
    assert risk == 2 * (SITES + 1)


def test_a_persons_gradient_of_all_phenotypes_is_clipped_as_one(program: Program) -> None:
    cohort = _cohorts(PEOPLE)[1]
    expected = np.zeros(program.parameters(RISK))
    bound = program.config.phases[RISK].clip_norm
    for person in range(len(cohort)):
        model = RiskModel(SITES, 2)
        unflatten(model, program.trained(RISK))
        features = torch.from_numpy(program.statistics.features(cohort.dosage[person : person + 1]))
        risk_loss(model(with_constant(features, program.statistics.variance)), cohort.phenotype[person]).backward()
        gradient = model.linear.weight.grad
        assert gradient is not None
        flat = gradient.flatten().double().numpy()
        expected += flat * min(1.0, bound / np.linalg.norm(flat))
        share = program.clipped_sum(RISK, cohort, np.array([person]), source(1))
        assert np.linalg.norm(share) <= bound
    total = program.clipped_sum(RISK, cohort, np.arange(len(cohort)), source(1))
    np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-4)


def test_game_rounds_work_with_several_scores(program: Program) -> None:
    update = program.private_update(GAME, _cohorts(PEOPLE)[2], source(1, "b"), 0.1)
    assert update.shape == (program.parameters(GAME),)
    assert np.isfinite(update).all()


def test_another_number_of_phenotypes_is_refused(program: Program) -> None:
    cohort = _cohorts(PEOPLE)[1]
    with pytest.raises(InputError, match="1 phenotypes, the run trains 2"):
        program.clipped_sum(RISK, Cohort(cohort.dosage, cohort.phenotype[:, 0]), np.arange(3), source(1))


def test_both_are_learned_and_one_release_serves_both() -> None:
    phase = Phase(name="risk", rounds=10, sample_rate=1.0, clip_norm=2**0.5, noise_multiplier=0.5, learning_rate=0.003)
    run = _config(300, phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18)
    panel = dosages(200, SITES, seed=0)
    model = train_in_process(run, sites_panel(SITES), panel, _cohorts(300))  # type: ignore[arg-type]
    assert model.weights.shape == (2, SITES)
    for weights, causal in zip(model.weights, CAUSAL, strict=True):
        assert set(np.argsort(-weights)[:2]) == set(causal)
    held_out = dosages(400, SITES, seed=50)
    cases = _phenotypes(held_out, 50)
    score = model.risk_score(held_out)
    assert score.shape == (400, 2)
    np.testing.assert_allclose(model.risk_score(panel).std(axis=0), 1.0)
    plan = plan_release(model, panel, ReleaseSettings(method="codebook", patterns=10, min_group_size=20))
    released = apply_plan(plan, held_out)
    assert released.min_group_size >= 20
    shown = plan.codebook.centroids[released.patterns]
    for told, case in zip(shown.T, cases.T, strict=True):
        assert np.mean(told[case == 1]) > np.mean(told[case == 0]) + 0.5
