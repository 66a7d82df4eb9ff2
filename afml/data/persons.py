"""Who stands behind the names of a file, and who is left out: one person may have several columns or rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import read_text, require_file

#: Help of the option that every kind of data has for it.
PEOPLE_HELP = "TSV: sample, person; names of one person in the data. A name that it lacks is a person's own."
#: Help of the option by which people are left out.
WITHOUT_HELP = "names of people to leave out, one a line; any name of a person in the data will do."
_HEADER = "sample\tperson"


class Matched(Settings):
    """How many lines of an institution's files name somebody in its data.

    Attributes:
        people, people_lines: Of --people; None where it was not given.
        without, without_lines: Of --without.
    """

    people: int | None = None
    people_lines: int = 0
    without: int | None = None
    without_lines: int = 0

    def remarks(self) -> tuple[str, ...]:
        """In lines, for the person who prepares."""
        given = (("--people", self.people, self.people_lines), ("--without", self.without, self.without_lines))
        return tuple(
            f"{found} of {lines} lines of {option} name somebody in the data"
            for option, found, lines in given
            if found is not None
        )


@dataclass
class Who:
    """Who stands behind a name, by what an institution says.

    Attributes:
        person_of: Name in the data -> person, where they differ.
        without: Names of who is left out: of persons, or of any of their columns or rows.
        mapped: Whether a map was given.
        leaves_out: Whether a list of who is left out was given.
    """

    person_of: Mapping[str, str]
    without: frozenset[str] = frozenset()
    mapped: bool = False
    leaves_out: bool = False
    _met: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self._gone = self.without | {self.person_of[name] for name in self.without if name in self.person_of}

    def person(self, name: str) -> str | None:
        """The person behind a name in the data; None for who is left out."""
        person = self.person_of.get(name, name)
        if self.mapped or self.leaves_out:
            self._met |= {name, person}
        return None if person in self._gone or name in self.without else person

    @property
    def matched(self) -> Matched:
        """Which lines have been of use, by the names asked for so far."""
        return Matched(
            people=len(self.person_of.keys() & self._met) if self.mapped else None,
            people_lines=len(self.person_of),
            without=len(self.without & self._met) if self.leaves_out else None,
            without_lines=len(self.without),
        )


def read_who(people: Path | None, without: Path | None) -> Who:
    """What an institution says of the names in its data.

    Args:
        people: See `read_people_map`.
        without: See `read_names`; None where nobody is left out.

    Raises:
        InputError: As there.
    """
    names = frozenset() if without is None else frozenset(read_names(without))
    return Who(read_people_map(people), names, people is not None, without is not None)


def read_names(path: Path) -> list[str]:
    """Names of people, one a line; blank lines are none.

    Raises:
        InputError: The file is missing or not text, or a line cannot be a name (with its number, never with the line).
    """
    found = []
    for number, line in enumerate(read_text(path, "list of people").splitlines(), start=1):
        if name := line.strip():
            if not name.isprintable():
                raise InputError(f"line {number} is not the name of a person", where=path, cure="correct this line")
            found.append(name)
    return found


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
        lines = require_file(path, "map of people").read_text(encoding="utf-8-sig").splitlines()
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
