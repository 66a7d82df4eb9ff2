"""The lists of fields: whole, cited, fixed, and the same in the package and in the docs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from afml.dossier.forms.fields import ORDER, Form, forms
from afml.dossier.forms.registry import schema
from afml.dossier.forms.wording import parts

ROOT = Path(__file__).parents[3]
LISTS = ROOT / "afml" / "dossier" / "forms" / "lists"

#: Fields of each list, so that a field that does not suit us cannot be dropped without a trace: all, and the system's.
COUNTED = {
    "nist_sp_800_226": (44, 38), "w3c_dp_guidance": (12, 11), "dp_registry": (37, 27), "hipaa_expert": (19, 13),
    "gdpr_dpia": (34, 14), "model_card": (31, 22), "data_sheet": (57, 27),
}  # fmt: skip


def test_every_list_is_a_form_and_the_docs_show_the_same_files() -> None:
    assert sorted(path.stem for path in LISTS.glob("*.toml")) == sorted(ORDER)
    shown = ROOT / "docs" / "audit" / "forms"
    assert {path.name: path.read_bytes() for path in shown.glob("*.toml")} == {
        path.name: path.read_bytes() for path in LISTS.glob("*.toml")
    }


@pytest.mark.parametrize("one", forms(), ids=lambda one: one.id)
def test_no_field_was_dropped_or_handed_to_the_institution(one: Form) -> None:
    system = sum(field.concerns == "system" for field in one.fields)
    assert (len(one.fields), system) == COUNTED[one.id]


@pytest.mark.parametrize("one", forms(), ids=lambda one: one.id)
def test_a_list_says_where_it_is_from_and_each_field_where_it_stands(one: Form) -> None:
    assert one.url.startswith("https://")
    assert all((one.cite, one.what, len(one.read) == 10))
    assert len({field.id for field in one.fields}) == len(one.fields)
    for field in one.fields:
        assert all((field.section, field.asks)), field.id
        assert field.concerns in ("system", "institution")


def test_a_source_that_was_not_read_whole_says_so() -> None:
    for one in forms():
        told = "not whole" in one.what.lower() or "could not be read as a document" in one.what.lower()
        assert told == (not one.complete), one.id


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, inside in table["properties"].items():
        here = f"{path}.{name}" if path else name
        if "properties" in inside:
            yield from _leaves(inside, here)
        else:
            yield here


def test_the_registrys_list_is_its_schema_field_by_field() -> None:
    (one,) = (one for one in forms() if one.id == "dp_registry")
    assert [field.id for field in one.fields] == list(_leaves(schema()))


@pytest.mark.parametrize("one", forms(), ids=lambda one: one.id)
def test_answers_are_of_fields_of_the_system_and_stand_on_something(one: Form) -> None:
    system = {field.id for field in one.fields if field.concerns == "system"}
    assert set(parts(one.id)) <= system
    for field, ways in parts(one.id).items():
        assert not all(part.adds for part in ways), field
        for part in ways:
            assert part.names, field
