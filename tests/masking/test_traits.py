"""Quantitative traits and covariates in the risk model: the same clip, another loss, other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from afml.audit.run import audit_run
from afml.audit.subject import Subject
from afml.consortium.run import Phase, RunConfig
from afml.core.errors import InputError
from afml.data.columns import Column
from afml.masking.enrolled import Enrolled, select, target
from afml.masking.kind import train_masking
from afml.masking.networks.risk import RESIDUAL, constant_input
from afml.masking.plan import parameter_counts
from afml.masking.settings import RISK, GameSettings, MaskingSettings, RiskSettings, Trait
from afml.masking.shrink import marginal_noise
from afml.masking.task import MaskingTask
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import RISK_PHASE, config, dosages, sites_panel, small_task

SITES, PEOPLE = 24, 40
HEIGHT = Trait(name="height", kind="quantitative", centre=170.0, spread=8.0)
GOUT = Trait(name="gout")
COVARIATES = (Column(name="sex", centre=0.5, spread=0.5), Column(name="age", centre=50, spread=12))
SETTINGS = RiskSettings(traits=(GOUT, HEIGHT), covariates=COVARIATES)


def _columns(dosage: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Gout from sites 2 and 9, height from 15 and 20; sex and age drive both."""
    rng = np.random.default_rng([seed, 7])
    people = len(dosage)
    sex, age = rng.integers(0, 2, people).astype(float), rng.normal(50, 12, people)
    copies = np.maximum(dosage, 0)
    gout = copies[:, [2, 9]].sum(axis=1) + 1.5 * sex + rng.normal(size=people)
    height = 160 + 6 * copies[:, [15, 20]].sum(axis=1) + 12 * (sex - 0.5) + 4 * rng.normal(size=people)
    return {"gout": (gout > np.median(gout)).astype(float), "height": height, "sex": sex, "age": age}


def _enrolled(people: int, seed: int, settings: RiskSettings = SETTINGS) -> Enrolled:
    dosage = dosages(people, SITES, seed=seed)
    columns = _columns(dosage, seed)
    return select(dosage, lambda name: columns[name], settings, where=Path("people.tsv"))


def _config(people: int = PEOPLE, settings: RiskSettings = SETTINGS, **changes: object) -> RunConfig:
    return config(SITES, people, risk=settings, **changes)


def _share(task: MaskingTask, people: Enrolled, *who: int) -> np.ndarray:
    return Trainer(task.run, task, people).clipped_sum(RISK_PHASE, np.array(who, np.int64), source(1))


@pytest.fixture(scope="module")
def task() -> MaskingTask:
    made = small_task(_config(), panel_people=80)
    update = Trainer(made.run, made, _enrolled(PEOPLE, 1)).private_update(RISK_PHASE, source(1, "a"), 0.1)
    made.apply(RISK_PHASE, update, PEOPLE)
    return made


def _slow(task: MaskingTask, people: Enrolled, person: int) -> np.ndarray:
    """One person's gradient written out: residual times input, trait by trait, clipped as one vector."""
    statistics = task.public.statistics
    features = statistics.features(people.dosage[person : person + 1])[0].astype(np.float64)
    c = constant_input(SITES, statistics.variance)
    inputs = np.concatenate([features, [c], c * people.extras[person]])
    gout, height = task.trained(RISK_PHASE).reshape(2, -1) @ inputs
    residuals = 1 / (1 + np.exp(-gout)) - people.phenotype[person, 0], height - people.phenotype[person, 1]
    gradient = np.concatenate([residual * inputs for residual in residuals])
    return gradient * min(1.0, task.run.phases[RISK_PHASE].clip_norm / np.linalg.norm(gradient))


def test_every_gradient_equals_the_one_written_out_and_is_bounded(task: MaskingTask) -> None:
    people = _enrolled(PEOPLE, 1)
    declared = parameter_counts(SITES, MaskingSettings(risk=SETTINGS))[0]
    assert task.length(RISK_PHASE) == 2 * (SITES + 1 + 2) == declared
    expected = np.zeros(task.length(RISK_PHASE))
    for person in range(len(people)):
        slow = _slow(task, people, person)
        alone = _share(task, people, person)
        np.testing.assert_allclose(alone, slow, rtol=1e-3, atol=1e-5)
        assert np.linalg.norm(alone) <= task.run.phases[RISK_PHASE].clip_norm
        expected += slow
    np.testing.assert_allclose(_share(task, people, *range(len(people))), expected, rtol=1e-3, atol=1e-4)
    assert not _share(task, people).any()


def test_the_most_extreme_person_moves_the_sum_no_further(task: MaskingTask) -> None:
    """Whatever number stands in a table: it is pulled in to four spreads, and the gradient is clipped after."""
    people = _enrolled(PEOPLE, 1)
    for height in (1e300, -1e300, 170 + 32.0):
        columns = _columns(people.dosage, 1)
        columns["height"][0], columns["age"][0] = height, -height
        odd = select(people.dosage, lambda name, c=columns: c[name], SETTINGS, where=Path("t"))  # type: ignore[misc]
        assert abs(odd.phenotype[0, 1]) == 2.0
        assert abs(odd.extras[0, 1]) == 4.0
        share = _share(task, odd, 0)
        assert np.isfinite(share).all()
        assert np.linalg.norm(share) <= task.run.phases[RISK_PHASE].clip_norm


def test_a_newton_step_of_squared_loss_is_a_quarter_as_long() -> None:
    made = small_task(_config(), panel_people=80)
    made.apply(RISK_PHASE, np.ones(made.length(RISK_PHASE)), PEOPLE)
    gout, height = made.trained(RISK_PHASE).reshape(2, -1)
    np.testing.assert_allclose(gout, 4 * height)
    rate = made.run.phases[RISK_PHASE].learning_rate
    np.testing.assert_allclose(height, -rate / PEOPLE / made.public.statistics.variance)


def test_the_noise_of_a_quantitative_marginal_matches_a_simulation() -> None:
    """A normal trait in units of two spreads, gradients clipped at length 1, records of length 2."""
    rng, people, rounds, std, sites = np.random.default_rng(1), 400, 5, 3.0, 64
    variance = 4 / sites
    found = []
    for _ in range(1000):
        features = rng.normal(size=(people, 2)) * variance**0.5  # two coordinates of records of length 2
        residual = np.clip(rng.normal(size=people) / 2, -0.5, 0.5)  # of length 1 at most after the clip
        total = features.T @ residual + std * rng.normal(size=(rounds, 2)).mean(axis=0)
        found.append(total / (variance * people))
    noise = marginal_noise(variance, people, 1.0, rounds, std, 1.0, RESIDUAL["quantitative"])
    assert noise == pytest.approx(np.std(found), rel=0.05)


@pytest.fixture(scope="module")
def learned() -> Any:
    phase = Phase(name=RISK, rounds=20, sample_rate=1.0, clip_norm=2**0.5, noise_multiplier=0.5, learning_rate=0.003)
    run = _config(300, phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18)
    people = {node: _enrolled(300, node) for node in (1, 2, 3)}
    return run, people, train_masking(run, sites_panel(SITES), dosages(200, SITES, seed=0), people)


def test_both_kinds_of_trait_are_learned_beside_covariates(learned: Any) -> None:
    _, _, model = learned
    assert model.weights.shape == (2, SITES)  # of sites alone: nothing of the covariates is in the model
    assert set(np.argsort(-model.weights[0])[:2]) == {2, 9}
    assert set(np.argsort(-model.weights[1])[:2]) == {15, 20}
    held_out = dosages(400, SITES, seed=50)
    height = np.maximum(held_out[:, [15, 20]], 0).sum(axis=1)
    assert np.corrcoef(model.risk_score(held_out)[:, 1], height)[0, 1] > 0.8


def test_covariates_take_what_they_explain_out_of_the_residuals(learned: Any) -> None:
    run, enrolled, _ = learned
    quick = run.model_copy(update={"phases": (run.phases[0].model_copy(update={"learning_rate": 0.1}),)})
    task = small_task(quick, panel_people=200)
    for _ in range(40):  # without noise
        total = sum(_share(task, one, *range(len(one))) for one in enrolled.values())
        task.apply(RISK_PHASE, np.asarray(total), 900)
    input_ = constant_input(SITES, task.public.statistics.variance)
    sex, age = task.trained(RISK_PHASE).reshape(2, -1)[1, SITES + 1 :] * input_
    assert sex == pytest.approx(6 / 16, abs=0.1)  # 12 cm a sex, in units of two spreads, per spread of the column
    assert abs(age) < 0.05


def test_the_audit_knows_traits_and_covariates(learned: Any) -> None:
    run, enrolled, _ = learned
    noisy = run.model_copy(update={"phases": (run.phases[0].model_copy(update={"noise_multiplier": 20.0}),)})
    found = audit_run(Subject(noisy, sites_panel(SITES), dosages(200, SITES, seed=0), enrolled), 3)
    found.require_sound()
    assert found.rounds == 20


def test_columns_become_targets(tmp_path: Path) -> None:
    np.testing.assert_allclose(target(np.array([170.0, 178, 154, 9999]), HEIGHT), [0, 0.5, -1, 2])
    np.testing.assert_allclose(COVARIATES[1].scaled(np.array([50.0, 62, 0])), [0, 1, -4])
    assert target(np.array([0.0, 1]), GOUT).dtype == np.int8
    with pytest.raises(InputError, match="column 'gout' is neither 0 nor 1 for 1 of 2 people; code controls") as caught:
        target(np.array([0.0, 37.5]), GOUT)
    assert "37" not in str(caught.value)
    both = _enrolled(5, 1)
    assert both.joined(both).rows(np.arange(5, 10)).extras.tolist() == both.extras.tolist()
    with pytest.raises(InputError, match="5 people have genotypes and 4 have covariates"):
        Enrolled(both.dosage, both.phenotype, both.extras[:4])


def test_people_without_the_covariates_are_refused(task: MaskingTask) -> None:
    people = _enrolled(PEOPLE, 1)
    with pytest.raises(InputError, match="0 covariates, the run uses 2"):
        _share(task, Enrolled(people.dosage, people.phenotype), 0, 1, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"traits": [{"name": "a"}], "phenotypes": 2}, "1 traits are declared and 2 phenotypes"),
        ({"traits": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"covariates": [{"name": "phenotype"}]}, "same name"),
        ({"traits": [{"name": "role"}]}, "cannot be called 'role'"),
        ({"traits": [{"name": "a\tb"}]}, "pattern"),
        ({"covariates": [{"name": "sex", "spread": 0}]}, "greater than 0"),
    ],
)
def test_declarations_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RiskSettings.model_validate(settings)


def test_a_run_that_declares_nothing_new_has_the_digest_it_had() -> None:
    assert RiskSettings(phenotypes=2).canonical() == b'{"kept_sites":40,"panel_components":10,"phenotypes":2}'
    assert [trait.name for trait in RiskSettings(phenotypes=2).declared] == ["phenotype1", "phenotype2"]
    assert RiskSettings(traits=(GOUT, HEIGHT)).phenotypes == 2
    again = RiskSettings.model_validate_json(SETTINGS.model_dump_json())
    assert again == SETTINGS
    assert again.digest() != RiskSettings(phenotypes=2).digest()
