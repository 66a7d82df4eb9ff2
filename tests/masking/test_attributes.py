"""Attributes beside traits: classes learned against the rest, and components that tell ancestry, in one release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from afml.audit.run import audit_run
from afml.audit.subject import Subject
from afml.consortium.run import Phase, RunConfig
from afml.core.errors import InputError
from afml.data.attribute import Attribute
from afml.data.columns import Column, Trait
from afml.masking.enrolled import Enrolled, select
from afml.masking.kind import MASKING, train_masking
from afml.masking.model import TrainedModel
from afml.masking.networks.features import PanelStatistics
from afml.masking.plan import parameter_counts
from afml.masking.settings import RISK, GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.masking.weights import component_weights
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from tests.masking.simulated import config, dosages, phenotype, sites_panel

SITES, PEOPLE, PANEL = 40, 60, 120
BAND = Attribute(name="age", classes=("young", "middle", "old"), edges=(40, 60))
ANCESTRY = Attribute(name="ancestry", classes=("north", "south"), source="components")
SETTINGS = RiskSettings(traits=(Trait(name="gout"),), attributes=(BAND, ANCESTRY), kept_components=2)
RISK_ALONE = Phase(
    name=RISK, rounds=2, sample_rate=1.0, clip_norm=1.0, noise_multiplier=2.0, learning_rate=0.003
)  # fmt: skip


def _config() -> RunConfig:
    return config(SITES, PEOPLE, risk=SETTINGS, phases=(RISK_ALONE,), game=GameSettings(steps=0))


def _columns(node: int) -> dict[str, np.ndarray]:
    dosage = dosages(PEOPLE, SITES, seed=node)
    age = np.random.default_rng([node, 3]).uniform(20, 90, PEOPLE)
    return {"gout": phenotype(dosage, node).astype(float), "age": age}


def _enrolled() -> dict[int, Enrolled]:
    made = {}
    for node in (1, 2, 3):
        columns = _columns(node)
        made[node] = select(dosages(PEOPLE, SITES, seed=node), columns.__getitem__, SETTINGS, where=Path("people.tsv"))
    return made


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train_masking(_config(), sites_panel(SITES), dosages(PANEL, SITES, seed=0), _enrolled())


def test_what_is_learned_and_what_a_release_tells() -> None:
    assert [one.name for one in SETTINGS.diseases] == ["gout"]
    assert [one.name for one in SETTINGS.declared] == ["gout", "age young", "age middle", "age old"]
    assert SETTINGS.scores == 6
    assert parameter_counts(SITES, MaskingSettings(risk=SETTINGS))[0] == 4 * (SITES + 1)
    age, made = _columns(2)["age"], _enrolled()[2]  # no table needs a column for what components tell
    np.testing.assert_array_equal(made.phenotype[:, 1], age < 40)
    np.testing.assert_array_equal(made.phenotype[:, 2], (age >= 40) & (age < 60))
    np.testing.assert_array_equal(made.phenotype[:, 3], age >= 60)


def test_scores_of_components_come_last_and_are_those_of_the_panel_alone(model: TrainedModel) -> None:
    panel = dosages(PANEL, SITES, seed=0)
    assert model.weights.shape == (6, SITES)
    expected = component_weights(PanelStatistics.from_panel(panel, 10), panel, 2)
    np.testing.assert_array_equal(model.weights[4:], expected)
    np.testing.assert_allclose(model.risk_score(panel).std(axis=0), 1.0)
    assert model.evidence.shape == (4, SITES)
    plan = plan_release(model, panel, ReleaseSettings(patterns=6, min_group_size=5), people_per_file=PEOPLE)
    assert len(plan.expected) == len(model.evidence)  # nothing is expected of components: variance decides
    released = apply_plan(plan, dosages(PEOPLE, SITES, seed=1))
    assert released.min_group_size >= 5


def test_the_run_passes_its_own_checks_and_can_be_attacked() -> None:
    run = _config()
    MASKING.check(run)
    assert MASKING.lengths(run) == (4 * (SITES + 1),)
    task = MASKING.settings(run.task.settings)
    assert task.risk == SETTINGS
    subject = Subject(run, sites_panel(SITES), dosages(PANEL, SITES, seed=0), _enrolled())
    assert audit_run(subject, 3, canaries=16).canaries == 16


def test_a_run_without_attributes_is_digested_as_before() -> None:
    assert "attributes" not in RiskSettings(traits=(Trait(name="gout"),)).model_dump(mode="json")
    assert RiskSettings.model_validate_json(SETTINGS.model_dump_json()) == SETTINGS


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kept_components": 0}, "say how many in kept_components"),
        ({"kept_components": 13}, "17 numbers of everybody, the most are 16"),
        ({"traits": (), "phenotypes": 2}, r"need names; declare them as \[\[traits\]\]"),
        ({"covariates": (Column(name="age"),)}, "same name"),
        ({"traits": (Trait(name="age old"),)}, "same name"),
        ({"attributes": (BAND, BAND)}, "same name"),
        ({"attributes": (), "traits": (), "covariates": (Column(name="sex"),)}, "declares none"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RiskSettings.model_validate(SETTINGS.model_dump() | wrong)


def test_a_person_of_no_class_stops_the_node() -> None:
    sex = Attribute(name="sex", classes=("female", "male"))
    risk = RiskSettings(traits=(Trait(name="gout"),), attributes=(sex,))
    columns = {"gout": np.zeros(3), "sex": np.array([0.0, 1.0, 2.0])}
    with pytest.raises(InputError, match=r"people\.tsv: column 'sex' is no number of a class.*1 of 3 people"):
        select(np.zeros((3, SITES), np.int8), columns.__getitem__, risk, where=Path("people.tsv"))
