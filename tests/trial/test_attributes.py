"""Which attributes of a trial's people are asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.data.attribute import Attribute
from afml.data.columns import Trait
from afml.data.people import PeopleTable, PersonColumns
from afml.masking.settings import RiskSettings
from afml.trial.attributes import attributes_of

BAND = Attribute(name="age", classes=("young", "old"), edges=(50,))
ANCESTRY = Attribute(name="ancestry", classes=("n", "s"), source="components")
RISK = RiskSettings(traits=(Trait(name="gout"),), attributes=(BAND, ANCESTRY), kept_components=1)


def _table(names: tuple[str, ...], *rows: tuple[float, ...]) -> PeopleTable:
    people = tuple(f"p{number}" for number in range(len(rows)))
    return PeopleTable(people, PersonColumns(names, np.array(rows)), np.ones(len(rows), np.bool_))


FIRST = _table(("gout", "age", "sex", "bmi", "only here"), (0, 70, 1, 22.5, 0), (1, 40, 0, np.nan, 1))
SECOND = _table(("bmi", "sex", "gout", "age"), (31, 1, 1, 50))
WHERE = Path("people.tsv")


def test_declared_ones_where_every_table_has_them_and_those_asked_about() -> None:
    band, sex, bmi = attributes_of(RISK, (FIRST, SECOND), ("sex", "bmi=25,30"), WHERE)
    assert (band.name, band.classes, band.allowed, band.people.tolist()) == ("age", ("young", "old"), True, [1, 0, 1])
    assert (sex.classes, sex.allowed, sex.people.tolist()) == (("0", "1"), False, [1, 0, 1])
    assert bmi.classes == ("below 25", "from 25", "from 30")
    assert bmi.people.tolist() == [0, -1, 2]  # nobody is of a class that no table says


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("gout", "is declared by the run; ask about another column"),
        ("age", "is declared by the run"),
        ("hair", "is not a column of every institution's table"),
        ("only here", "is not a column of every institution's table"),
        ("bmi", r"holds no classes numbered from 0 to 7; ask for bands of its numbers, for example --attribute 'bmi="),
        ("bmi=30,25", "ask for bands"),
        ("bmi=x", "ask for bands"),
    ],
)
def test_what_is_no_attribute_is_refused_in_one_line(asked: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        attributes_of(RISK, (FIRST, SECOND), (asked,), WHERE)
    assert "\n" not in str(refused.value)
