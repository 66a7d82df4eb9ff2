"""The entry for the registry of deployments: the form of that name as one JSON object that its schema allows.

`schema.json` is our own writing of the registry's public description (`lists/dp_registry.toml` says which). What the
institution has to fill says so where the schema allows a text; where it does not, `notes` names it.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from afml.dossier.forms.fill import INSTITUTION, Filled

#: What the schema demands of fields that the institution fills: the registry's own words for "nothing here yet".
_UNFILLED: dict[str, Any] = {
    "url_slug": "institution-to-fill",
    "status": "Draft",
    "tier": 1,
    "deployment.basic.data_curators": [INSTITUTION],
    "deployment.basic.publication_date": "1900-01-01",
    "deployment.basic.data_product_type": "Machine learning model",
    "deployment.administrative.registry_authors": [INSTITUTION],
}
_REQUIRED_TEXTS = ("name", "description", "intended_use", "data_product_region")
_NOTES = "deployment.administrative.notes"


def schema() -> dict[str, Any]:
    """The JSON Schema of an entry."""
    text = files("afml.dossier.forms").joinpath("schema.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def entry(filled: Filled) -> dict[str, Any]:
    """The entry of a dossier.

    Args:
        filled: The form `dp_registry`.
    """
    made: dict[str, Any] = {}
    left: list[str] = []
    for answer in filled.answers:
        path = answer.field.id
        if answer.filled:
            _put(made, path, _typed(path, answer.text, answer.stands_on[0].value))
            continue
        left.append(f"{path.removeprefix('deployment.')}: {answer.text}")
        if path in _UNFILLED:
            _put(made, path, _UNFILLED[path])
        elif path.rpartition(".")[2] in _REQUIRED_TEXTS:
            _put(made, path, answer.text)
    notes = [made["deployment"]["administrative"].get("notes", ""), f"Left open: {'; '.join(left)}."]
    _put(made, _NOTES, " ".join(filter(None, notes)))
    return made


def _typed(path: str, text: str, value: object) -> object:
    """A parameter is the number itself, everything else its words."""
    return value if ".privacy_parameters." in path else text


def _put(into: dict[str, Any], path: str, value: object) -> None:
    *folders, name = path.split(".")
    for folder in folders:
        into = into.setdefault(folder, {})
    into[name] = value
