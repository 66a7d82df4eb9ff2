"""A run without traits: the release keeps the panel's principal components, and no risk round is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.consortium.run import Phase, RunConfig
from afml.core.errors import ConfigError, InputError
from afml.evaluation.baselines import BINNED, BINNED_COMPONENT
from afml.evaluation.evaluate import evaluate
from afml.evaluation.inputs import EvaluationInputs, Institution
from afml.evaluation.utility import reconstruction, standardise
from afml.masking.enrolled import Enrolled, select
from afml.masking.kind import MASKING, train_masking
from afml.masking.model import TrainedModel
from afml.masking.networks.features import PanelStatistics
from afml.masking.settings import GAME, ReleaseSettings, RiskSettings
from afml.masking.weights import component_weights
from afml.release.planning import plan_release
from afml.release.released import apply_plan, mask_alone
from tests.masking.simulated import config, dosages, sites_panel

SITES, PEOPLE, KEPT = 40, 60, 2
NO_TRAITS = RiskSettings(kept_components=KEPT)
GAME_ALONE = Phase(name=GAME, rounds=1, sample_rate=0.5, clip_norm=1.0, noise_multiplier=2.0, learning_rate=0.01)


def _config(**changes: object) -> RunConfig:
    return config(SITES, PEOPLE, **({"risk": NO_TRAITS, "phases": (GAME_ALONE,)} | changes))


def _enrolled() -> dict[int, Enrolled]:
    made = {}
    for node in (1, 2, 3):
        dosage = dosages(PEOPLE, SITES, seed=node)
        made[node] = select(dosage, lambda name: np.zeros(0), NO_TRAITS, where=Path("people.tsv"))
        assert made[node].phenotype.shape == (PEOPLE, 0)
    return made


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train_masking(_config(), sites_panel(SITES), dosages(120, SITES, seed=0), _enrolled())


def test_scores_are_the_panels_principal_components(model: TrainedModel) -> None:
    panel = dosages(120, SITES, seed=0)
    standard = PanelStatistics.from_panel(panel, 0).standardise(panel).astype(np.float64)
    left, _, _ = np.linalg.svd(standard, full_matrices=False)
    score = model.risk_score(panel)
    assert score.shape == (120, KEPT)
    np.testing.assert_allclose(score.std(axis=0), 1.0)
    for kept, expected in zip(score.T, left.T, strict=False):
        assert abs(np.corrcoef(kept, expected)[0, 1]) > 0.999


def test_no_phenotype_is_needed_and_none_is_taken(model: TrainedModel) -> None:
    assert NO_TRAITS.declared == ()
    assert NO_TRAITS.scores == KEPT
    assert len(model.game) > 0  # the game was played, the private round too
    people = _enrolled()
    people[2] = Enrolled(people[2].dosage, np.zeros(PEOPLE, np.int8))
    with pytest.raises(InputError, match="1 phenotypes, the run trains 0"):
        train_masking(_config(), sites_panel(SITES), dosages(120, SITES, seed=0), people)
    with pytest.raises(ConfigError, match="fewer than 40 components"):
        component_weights(PanelStatistics.from_panel(dosages(50, SITES, seed=0), 0), dosages(50, SITES, seed=0), 40)
    with pytest.raises(ConfigError, match="risk rounds would spend budget and learn nothing"):
        MASKING.check(_config(phases=config(SITES, PEOPLE).phases))
    with pytest.raises(ConfigError, match="this run declares none"):
        MASKING.settings({"risk": {"kept_components": 2, "covariates": [{"name": "age"}]}})


def test_a_cohort_with_phenotypes_is_refused_by_a_risk_round_of_another_run() -> None:
    run = config(SITES, PEOPLE)
    with pytest.raises(InputError, match="0 phenotypes, the run trains 1"):
        train_masking(run, sites_panel(SITES), dosages(80, SITES, seed=0), _enrolled())


def test_reconstruction_is_ridge_regression_written_out() -> None:
    dosage = dosages(200, SITES, seed=4, missing=0.0)
    training = np.arange(200) % 4 != 0
    released = np.where(np.arange(SITES) < 5, dosage, 0).astype(np.int8)
    score = dosage[:, :2].astype(float)
    outcome, found = reconstruction(released, dosage, score, training)
    target = standardise(dosage, training)
    inputs = standardise(released, training)

    def share(inputs: Any) -> float:
        x, y = inputs[training], target[training]
        center_x, center_y = x.mean(axis=0), y.mean(axis=0)
        gram = (x - center_x).T @ (x - center_x) + 100 * np.eye(x.shape[1])
        slopes = np.linalg.solve(gram, (x - center_x).T @ (y - center_y))
        left = target[~training] - center_y - (inputs[~training] - center_x) @ slopes
        return float(1 - (left**2).sum() / ((target[~training] - center_y) ** 2).sum())

    assert found.auc == pytest.approx(share(inputs))
    assert found.raw_auc == pytest.approx(share((score - score[training].mean(0)) / score[training].std(0)))
    assert found.ratio > 1  # five sites tell more than the two that stand for the components
    assert outcome.quantitative
    assert reconstruction(np.zeros_like(dosage), dosage, score, training)[1].auc == 0.0


def test_a_release_that_keeps_them_is_evaluated_by_reconstruction(model: TrainedModel) -> None:
    panel = dosages(120, SITES, seed=0)
    plan = plan_release(
        model, panel, ReleaseSettings(method="codebook", patterns=6, min_group_size=5), people_per_file=PEOPLE
    )
    rng = np.random.default_rng(2)
    files = []
    for node in (1, 2, 3):
        dosage = dosages(PEOPLE, SITES, seed=node)
        none = np.zeros((PEOPLE, 0), np.int8)
        files.append(Institution(dosage, none, rng.random(PEOPLE) < 0.7, apply_plan(plan, dosage).dosage))
    inputs = EvaluationInputs(
        tuple(files), panel, lambda dosage: mask_alone(plan, dosage), model.weights / model.scale,
        train_identifier=False, population=(1,), asked_people=30, asked_sites=(3,), names=("reconstruction",),
        components=model.risk_score,
    )  # fmt: skip
    found = evaluate(inputs)
    assert found.release.utility_measure == "reconstruction"
    assert (found.release.utility_ratio_vs_best_raw, found.release.utility_phenotype) == (None, None)
    assert found.details.traits[0].best_raw_r2 is None
    assert {row.name for row in found.baselines} >= {BINNED_COMPONENT}
    assert BINNED not in {row.name for row in found.baselines}
    assert found.release.utility_auc > 0
    assert 0 < found.release.raw_auc < 1
    (told,) = found.details.traits
    assert (told.name, told.r2, told.raw_r2) == ("reconstruction", found.release.utility_auc, found.release.raw_auc)
    assert found.details.phenotypes == ()
