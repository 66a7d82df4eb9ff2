"""Several phenotypes in one run: one update vector, one clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.core.errors import InputError
from afml.masking.enrolled import Enrolled
from afml.masking.networks.risk import RiskModel, with_constant
from afml.masking.plan import parameter_counts
from afml.masking.risk import risk_loss
from afml.masking.settings import RiskSettings
from afml.masking.task import MaskingTask
from afml.training.clipping import unflatten
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, dosages, small_task

SITES, PEOPLE = 24, 60
CAUSAL = ((2, 9), (15, 20))


def _phenotypes(dosage: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = []
    for sites in CAUSAL:
        liability = np.maximum(dosage[:, sites], 0).sum(axis=1) + 0.5 * rng.normal(size=len(dosage))
        columns.append((liability > np.median(liability)).astype(np.int8))
    return np.stack(columns, axis=1)


def _enrolled(node: int) -> Enrolled:
    dosage = dosages(PEOPLE, SITES, seed=node)
    return Enrolled(dosage, _phenotypes(dosage, node))


def _trainer(task: MaskingTask, people: Enrolled) -> Trainer:
    return Trainer(task.run, task, people)


@pytest.fixture(scope="module")
def task() -> MaskingTask:
    made = small_task(config(SITES, PEOPLE, risk=RiskSettings(phenotypes=2)), panel_people=80)
    update = _trainer(made, _enrolled(1)).private_update(RISK_PHASE, source(1, "a"), 0.1)
    made.apply(RISK_PHASE, update, PEOPLE)
    made.load_public(made.train_public())
    return made


def test_lengths_are_those_that_a_configuration_declares(task: MaskingTask) -> None:
    risk, game = parameter_counts(SITES, task.settings)
    assert (task.length(RISK_PHASE), task.length(GAME_PHASE)) == (risk, game)
    assert risk == 2 * (SITES + 1)


def test_a_persons_gradient_of_all_phenotypes_is_clipped_as_one(task: MaskingTask) -> None:
    people, statistics = _enrolled(1), task.public.statistics
    trainer = _trainer(task, people)
    expected = np.zeros(task.length(RISK_PHASE))
    bound = task.run.phases[RISK_PHASE].clip_norm
    for person in range(len(people)):
        model = RiskModel(SITES, 2)
        unflatten(model, task.trained(RISK_PHASE))
        features = torch.from_numpy(statistics.features(people.dosage[person : person + 1]))
        risk_loss(model(with_constant(features, statistics.variance)), people.phenotype[person]).backward()
        gradient = model.linear.weight.grad
        assert gradient is not None
        flat = gradient.flatten().double().numpy()
        expected += flat * min(1.0, bound / np.linalg.norm(flat))
        share = trainer.clipped_sum(RISK_PHASE, np.array([person]), source(1))
        assert np.linalg.norm(share) <= bound
    total = trainer.clipped_sum(RISK_PHASE, np.arange(len(people)), source(1))
    np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-4)


def test_game_rounds_work_with_several_scores(task: MaskingTask) -> None:
    update = _trainer(task, _enrolled(2)).private_update(GAME_PHASE, source(1, "b"), 0.1)
    assert update.shape == (task.length(GAME_PHASE),)
    assert np.isfinite(update).all()


def test_another_number_of_phenotypes_is_refused(task: MaskingTask) -> None:
    people = _enrolled(1)
    one = _trainer(task, Enrolled(people.dosage, people.phenotype[:, 0]))
    with pytest.raises(InputError, match="1 phenotypes, the run trains 2"):
        one.clipped_sum(RISK_PHASE, np.arange(3), source(1))
