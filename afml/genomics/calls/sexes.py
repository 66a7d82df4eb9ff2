"""Who is male and who female: by the phenotype table, and by the calls on X.

By the calls: a person whose calls on X outside the pseudoautosomal regions are haploid is male; else the inbreeding
coefficient F = 1 - heterozygous calls / those that the panel's frequencies let expect decides (as PLINK's
--check-sex): 0.8 and more is male, 0.5 and less female. Only sites a million bases apart count, because linked ones say
the same thing many times; with fewer than ten heterozygous calls to expect nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import read_text

COLUMN = "sex"
"""Column of the phenotype table that says it."""

_MALE_F, _FEMALE_F, _LEAST_EXPECTED = 0.8, 0.5, 10.0
_MALE, _FEMALE = frozenset({"m", "male"}), frozenset({"f", "female"})
_UNKNOWN = frozenset({"", "na", "nan", "null", ".", "-9", "u", "unknown", "other"})


class Sex(IntEnum):
    """Of a person, as far as known; the numbers are PLINK's."""

    UNKNOWN = 0
    MALE = 1
    FEMALE = 2


class OnX(NamedTuple):
    """Of every person, what the calls on X outside the pseudoautosomal regions are.

    Attributes:
        stated: int64 [people], calls.
        called: int64 [people], calls at sites that are not linked.
        heterozygous: int64 [people], of the latter.
        expected: float64 [people], heterozygous calls that the panel's frequencies let expect of a female.
        hemizygous: int64 [people], calls that the file states as haploid.
    """

    stated: NDArray[np.int64]
    called: NDArray[np.int64]
    heterozygous: NDArray[np.int64]
    expected: NDArray[np.float64]
    hemizygous: NDArray[np.int64]


def inferred_sexes(on_x: OnX) -> NDArray[np.uint8]:
    """What the calls say, uint8 [people], values of `Sex`."""
    enough = on_x.expected >= _LEAST_EXPECTED
    coefficient = 1 - on_x.heterozygous / np.maximum(on_x.expected, 1e-9)
    found = np.zeros(len(on_x.called), dtype=np.uint8)
    found[enough & (coefficient >= _MALE_F)] = Sex.MALE
    found[enough & (coefficient <= _FEMALE_F) & (on_x.hemizygous == 0)] = Sex.FEMALE
    # Stated as haploid, with as few exceptions as there are regions that somebody else counts as pairing.
    found[(on_x.hemizygous > 0) & (on_x.hemizygous >= 0.9 * on_x.stated)] = Sex.MALE
    return found


def read_sexes(
    path: Path | None, samples: Sequence[str], person_of: Mapping[str, str], codes: Sequence[str] = ()
) -> NDArray[np.uint8] | None:
    """What a phenotype table says of the columns of a file.

    The column `sex` holds M or F, male or female, or numbers: 1 male and 2 female, as PLINK writes them (0 unknown),
    or, where no 2 is in the column, 1 male and 0 female. A cell that says nothing is unknown.

    Args:
        path: The table; None where there is none.
        samples: Names of the columns.
        person_of: Other name -> name of the person; rows may stand under either.
        codes: What else stands for an unknown one.

    Returns:
        uint8 [samples], values of `Sex`; None where there is no such column.

    Raises:
        InputError: A cell is none of these (with its line, without its content).
    """
    lines = read_text(path, "phenotype table").splitlines() if path is not None else []
    header = lines[0].split("\t") if lines else []
    if path is None or COLUMN not in header[1:]:
        return None
    place = header.index(COLUMN)
    cells: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        row = line.split("\t")
        if len(row) > place:
            text = row[place].strip().lower()
            cells[row[0]] = (number, "" if text in codes else text)
    numbers = {_number(text) for _, text in cells.values()}
    zero = Sex.UNKNOWN if 2.0 in numbers or 0.0 not in numbers else Sex.FEMALE
    sex = {name: _sex(text, zero, path, number) for name, (number, text) in cells.items()}
    persons = {person_of.get(name, name): one for name, one in sex.items()}
    return np.array(
        [sex.get(name, persons.get(person_of.get(name, name), Sex.UNKNOWN)) for name in samples], dtype=np.uint8
    )


def _sex(text: str, zero: Sex, path: Path, line: int) -> Sex:
    number = _number(text)
    if text in _MALE or number == 1:
        return Sex.MALE
    if text in _FEMALE or number == 2:
        return Sex.FEMALE
    if number == 0:
        return zero
    if text in _UNKNOWN or number == -9:
        return Sex.UNKNOWN
    raise InputError(
        f"line {line} has a sex that is neither M, F, 1 (male), 2 (female) nor unknown",
        where=path,
        cure="correct this line, or call the column something else",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
