"""How a trial's run is put to the evaluation; tests/cli/test_demo.py assesses a whole trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.data.attribute import Attribute
from afml.evaluation.report import PhenotypeSection
from afml.masking.settings import MaskingSettings, RiskSettings, Trait
from afml.trial.assess import _phenotype
from afml.trial.served import names_of, served

MIXED = MaskingSettings(
    risk=RiskSettings(
        traits=(
            Trait(name="height", kind="quantitative"), Trait(name="case", kind="binary"),
            Trait(name="weight", kind="quantitative"), Trait(name="carrier", kind="binary"),
        )
    )
)  # fmt: skip


def test_binary_traits_come_first_in_their_declared_order() -> None:
    assert names_of(MIXED) == ("case", "carrier", "height", "weight")
    rows = np.arange(4)[:, None] * np.ones(3)
    np.testing.assert_array_equal(served(rows, MIXED)[:, 0], [1, 3, 0, 2])


def test_the_phenotype_of_a_run_that_declares_none_has_no_name() -> None:
    assert names_of(MaskingSettings()) == ()
    assert names_of(MaskingSettings(risk=RiskSettings(phenotypes=2))) == ("phenotype1", "phenotype2")


def test_components_are_one_thing_and_keep_their_order() -> None:
    settings = MaskingSettings(risk=RiskSettings(kept_components=3))
    assert names_of(settings) == ("reconstruction, 3 components",)
    rows = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(served(rows, settings), rows)


def test_scores_of_attributes_and_components_are_no_traits() -> None:
    age = Attribute(name="age", classes=("young", "middle", "old"), edges=(40, 60))
    risk = MIXED.risk.model_copy(update={"attributes": (age,), "kept_components": 2})
    told = MaskingSettings(risk=risk)
    assert names_of(told) == names_of(MIXED)
    rows = np.arange(risk.scores)[:, None] * np.ones(3)
    assert risk.scores == 9
    np.testing.assert_array_equal(served(rows, told)[:, 0], [1, 3, 0, 2])
    alone = MaskingSettings(risk=RiskSettings(kept_components=2, attributes=(age,)))
    assert names_of(alone) == ("reconstruction, 2 components",)
    np.testing.assert_array_equal(served(rows[:5], alone)[:, 0], [3, 4])


def test_only_what_was_simulated_is_called_so(tmp_path: Path) -> None:
    assert not _phenotype(None).simulated
    told = PhenotypeSection(simulated=True, causal_sites=5, heritability=0.5, seed=1)
    (tmp_path / "phenotypes.json").write_text(told.model_dump_json())
    assert _phenotype(tmp_path / "phenotypes.json") == told
    (tmp_path / "phenotypes.json").write_text("{}")
    with pytest.raises(InputError, match="not what `afml phenotypes` writes"):
        _phenotype(tmp_path / "phenotypes.json")
