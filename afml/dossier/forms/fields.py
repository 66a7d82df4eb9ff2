"""The fields of each form, as its cited source has them (`lists/`, also docs/audit/forms).

A list was fixed before anything was filled. Questions are in our words; which source was read, and how much of it,
stands in the list.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeAlias

ORDER = (
    "nist_sp_800_226", "w3c_dp_guidance", "dp_registry", "hipaa_expert", "gdpr_dpia", "model_card", "data_sheet",
)  # fmt: skip
"""All forms, in the order in which a dossier shows them."""

Concern: TypeAlias = Literal["system", "institution"]


@dataclass(frozen=True)
class Field:
    """One thing that a form asks.

    Attributes:
        id: Its name, of its own within the form.
        section: Where in the source it stands.
        asks: The question, in our words.
        concerns: Who can answer: what the system did ("system"), or the institution alone.
    """

    id: str
    section: str
    asks: str
    concerns: Concern


@dataclass(frozen=True)
class Form:
    """A form and where its fields are from.

    Attributes:
        id: Name of its files.
        title: For people.
        cite: The source.
        url: Where the source is.
        read: Day on which it was read, ISO 8601.
        what: Which part of the source was read, and in which copy.
        complete: The source's list could be read whole.
        fields: In the source's order.
    """

    id: str
    title: str
    cite: str
    url: str
    read: str
    what: str
    complete: bool
    fields: tuple[Field, ...]


def read_toml(folder: str, form: str) -> dict[str, Any]:
    """A table of this package, `folder/form.toml`."""
    text = files("afml.dossier.forms").joinpath(folder, f"{form}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def form(name: str) -> Form:
    """A form by its id.

    Args:
        name: One of `ORDER`.
    """
    table = read_toml("lists", name)
    source, fields = table["source"], table["field"]
    return Form(
        id=str(table["id"]), title=str(table["title"]), complete=bool(table["complete"]),
        cite=" ".join(source["cite"].split()), url=source["url"], read=source["read"].isoformat(),
        what=" ".join(source["what"].split()), fields=tuple(Field(**one) for one in fields),
    )  # fmt: skip


def forms() -> tuple[Form, ...]:
    """All forms, in order."""
    return tuple(map(form, ORDER))
