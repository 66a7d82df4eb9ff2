"""Who stands behind the names of a file: one person may have several columns or rows under different names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import require_file

#: Help of the option that every kind of data has for it.
PEOPLE_HELP = "TSV: sample, person; names of one person in the data. A name that it lacks is a person's own."
_HEADER = "sample\tperson"


def read_people_map(path: Path | None) -> dict[str, str]:
    """Read a map from names in the data to the people behind them.

    Args:
        path: A TSV with the header `sample<TAB>person`; None where every name is a person's own.

    Returns:
        name -> person, for the names that the file lists.

    Raises:
        InputError: Missing file, bad header, or a bad or repeated row (with its line, never with a name).
    """
    if path is None:
        return {}
    try:
        lines = require_file(path, "map of people").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("map of people is not text", where=path, cure="give a tab-separated table") from None
    if not lines or lines[0] != _HEADER:
        raise InputError("first line is not sample<TAB>person", where=path, cure="add this header")
    found: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 2 or not all(cells) or not all(cell.isprintable() for cell in cells):
            raise InputError(f"line {number} does not name a sample and a person", where=path, cure="correct this line")
        if cells[0] in found:
            raise InputError(f"line {number} repeats a sample", where=path, cure="keep one line each")
        found[cells[0]] = cells[1]
    return found


def columns_of(names: Iterable[str], person_of: Mapping[str, str]) -> dict[str, list[int]]:
    """The places of every person among some names.

    Args:
        names: As they stand in the data.
        person_of: See `read_people_map`.

    Returns:
        person -> places, people in the order of their first name.
    """
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(person_of.get(name, name), []).append(place)
    return found
