"""Quantitative traits and covariates in the risk model: the same clip, another loss, other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.core.run import Column, GameSettings, Phase, RiskSettings, RunConfig, Trait
from afml.evaluation.audit.run import audit_run
from afml.models.risk import RESIDUAL, constant_input
from afml.training.cohort import Cohort, scaled, select, target
from afml.training.inprocess import train_in_process
from afml.training.program import Program, parameter_counts
from afml.training.shrink import marginal_noise
from crypto.public.random import source
from tests.training.simulated import config, dosages, sites_panel

SITES, PEOPLE, RISK = 24, 40, 0
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


def _cohort(people: int, seed: int, settings: RiskSettings = SETTINGS) -> Cohort:
    dosage = dosages(people, SITES, seed=seed)
    columns = _columns(dosage, seed)
    return select(dosage, lambda name: columns[name], settings, where=Path("people.tsv"))


def _config(people: int = PEOPLE, settings: RiskSettings = SETTINGS, **changes: object) -> RunConfig:
    return config(SITES, people, risk=settings, **changes)


@pytest.fixture(scope="module")
def program() -> Program:
    made = Program(_config(), sites_panel(SITES), dosages(80, SITES, seed=0))  # type: ignore[arg-type]
    made.apply(RISK, made.private_update(RISK, _cohort(PEOPLE, 1), source(1, "a"), 0.1), PEOPLE)
    return made


def _slow(program: Program, cohort: Cohort, person: int) -> np.ndarray:
    """One person's gradient written out: residual times input, trait by trait, clipped as one vector."""
    features = program.statistics.features(cohort.dosage[person : person + 1])[0].astype(np.float64)
    c = constant_input(SITES, program.statistics.variance)
    inputs = np.concatenate([features, [c], c * cohort.extras[person]])
    gout, height = program.trained(RISK).reshape(2, -1) @ inputs
    residuals = 1 / (1 + np.exp(-gout)) - cohort.phenotype[person, 0], height - cohort.phenotype[person, 1]
    gradient = np.concatenate([residual * inputs for residual in residuals])
    return gradient * min(1.0, program.config.phases[RISK].clip_norm / np.linalg.norm(gradient))


def test_every_gradient_equals_the_one_written_out_and_is_bounded(program: Program) -> None:
    cohort = _cohort(PEOPLE, 1)
    assert program.parameters(RISK) == 2 * (SITES + 1 + 2) == parameter_counts(SITES, 4, phenotypes=2, covariates=2)[0]
    expected = np.zeros(program.parameters(RISK))
    for person in range(len(cohort)):
        slow = _slow(program, cohort, person)
        alone = program.clipped_sum(RISK, cohort, np.array([person]), source(1))
        np.testing.assert_allclose(alone, slow, rtol=1e-3, atol=1e-5)
        assert np.linalg.norm(alone) <= program.config.phases[RISK].clip_norm
        expected += slow
    total = program.clipped_sum(RISK, cohort, np.arange(len(cohort)), source(1))
    np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-4)
    assert not program.clipped_sum(RISK, cohort, np.zeros(0, np.int64), source(1)).any()


def test_the_most_extreme_person_moves_the_sum_no_further(program: Program) -> None:
    """Whatever number stands in a table: it is pulled in to four spreads, and the gradient is clipped after."""
    cohort = _cohort(PEOPLE, 1)
    for height in (1e300, -1e300, 170 + 32.0):
        columns = _columns(cohort.dosage, 1)
        columns["height"][0], columns["age"][0] = height, -height
        odd = select(cohort.dosage, lambda name, c=columns: c[name], SETTINGS, where=Path("t"))  # type: ignore[misc]
        assert abs(odd.phenotype[0, 1]) == 2.0
        assert abs(odd.extras[0, 1]) == 4.0
        share = program.clipped_sum(RISK, odd, np.array([0]), source(1))
        assert np.isfinite(share).all()
        assert np.linalg.norm(share) <= program.config.phases[RISK].clip_norm


def test_a_newton_step_of_squared_loss_is_a_quarter_as_long(program: Program) -> None:
    made = Program(_config(), sites_panel(SITES), dosages(80, SITES, seed=0))  # type: ignore[arg-type]
    made.apply(RISK, np.ones(made.parameters(RISK)), PEOPLE)
    gout, height = made.trained(RISK).reshape(2, -1)
    np.testing.assert_allclose(gout, 4 * height)
    rate = made.config.phases[RISK].learning_rate
    np.testing.assert_allclose(height, -rate / PEOPLE / made.statistics.variance)


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
    phase = Phase(name="risk", rounds=20, sample_rate=1.0, clip_norm=2**0.5, noise_multiplier=0.5, learning_rate=0.003)
    run = _config(300, phases=(phase,), game=GameSettings(steps=0, windows=8), bits=18)
    cohorts = {node: _cohort(300, node) for node in (1, 2, 3)}
    return run, cohorts, train_in_process(run, sites_panel(SITES), dosages(200, SITES, seed=0), cohorts)  # type: ignore[arg-type]


def test_both_kinds_of_trait_are_learned_beside_covariates(learned: Any) -> None:
    _, _, model = learned
    assert model.weights.shape == (2, SITES)  # of sites alone: nothing of the covariates is in the model
    assert set(np.argsort(-model.weights[0])[:2]) == {2, 9}
    assert set(np.argsort(-model.weights[1])[:2]) == {15, 20}
    held_out = dosages(400, SITES, seed=50)
    height = np.maximum(held_out[:, [15, 20]], 0).sum(axis=1)
    assert np.corrcoef(model.risk_score(held_out)[:, 1], height)[0, 1] > 0.8


def test_covariates_take_what_they_explain_out_of_the_residuals(learned: Any) -> None:
    run, cohorts, _ = learned
    quick = run.model_copy(update={"phases": (run.phases[0].model_copy(update={"learning_rate": 0.1}),)})
    program = Program(quick, sites_panel(SITES), dosages(200, SITES, seed=0))  # type: ignore[arg-type]
    for _ in range(40):  # without noise
        total = sum(program.clipped_sum(RISK, one, np.arange(len(one)), source(1)) for one in cohorts.values())
        program.apply(RISK, np.asarray(total), 900)
    sex, age = program.trained(RISK).reshape(2, -1)[1, SITES + 1 :] * constant_input(SITES, program.statistics.variance)
    assert sex == pytest.approx(6 / 16, abs=0.1)  # 12 cm a sex, in units of two spreads, per spread of the column
    assert abs(age) < 0.05


def test_the_audit_knows_traits_and_covariates(learned: Any) -> None:
    run, cohorts, _ = learned
    noisy = run.model_copy(update={"phases": (run.phases[0].model_copy(update={"noise_multiplier": 20.0}),)})
    found = audit_run(noisy, sites_panel(SITES), dosages(200, SITES, seed=0), cohorts, 3)  # type: ignore[arg-type]
    found.require_sound()
    assert found.rounds == 20


def test_columns_become_targets(tmp_path: Path) -> None:
    np.testing.assert_allclose(target(np.array([170.0, 178, 154, 9999]), HEIGHT), [0, 0.5, -1, 2])
    np.testing.assert_allclose(scaled(np.array([50.0, 62, 0]), COVARIATES[1]), [0, 1, -4])
    assert target(np.array([0.0, 1]), GOUT).dtype == np.int8
    with pytest.raises(InputError, match="column 'gout' is neither 0 nor 1 for 1 of 2 people; code controls") as caught:
        target(np.array([0.0, 37.5]), GOUT)
    assert "37" not in str(caught.value)
    both = _cohort(5, 1)
    assert both.joined(both).rows(np.arange(5, 10)).extras.tolist() == both.extras.tolist()
    with pytest.raises(InputError, match="5 people have genotypes and 4 have covariates"):
        Cohort(both.dosage, both.phenotype, both.extras[:4])


def test_cohorts_without_the_covariates_are_refused(program: Program) -> None:
    cohort = _cohort(PEOPLE, 1)
    with pytest.raises(InputError, match="0 covariates, the run uses 2"):
        program.clipped_sum(RISK, Cohort(cohort.dosage, cohort.phenotype), np.arange(3), source(1))


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
