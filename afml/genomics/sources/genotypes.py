"""Genotypes out of the text of a VCF line: whole columns at once where they are of the usual forms.

`calls_of` looks at all people together: calls of one-digit alleles (`0/1`, `.|.`) and haploid ones (`1`) are decoded
by array arithmetic, and whoever's call is of another form (alleles from 10 on, a leading phase of VCF 4.4, more than
two alleles) is read alone by `call_of`, which is also the slow reference of the tests.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sources.record import ABSENT, MISSING

_TAB, _COLON, _SLASH, _BAR, _ZERO = 9, 58, 47, 124, 48
_DOT = 46 - _ZERO  # of `.`, when `0` is 0
_PHASED = np.uint32(int.from_bytes(b"0|0\t", "little"))
_UNPHASED = np.uint32(int.from_bytes(b"0/0\t", "little"))
_FOUR_ALLELES = np.uint32(0x00030003)  # bits in which 0 to 3 differ from 0, of both alleles
_CALL = re.compile(rb"[|/]?(\.|\d{1,4})(?:[|/](\.|\d{1,4}))?\Z")


class Malformed(ValueError):
    """A genotype column that is none; says how, without its content."""


def call_of(text: bytes) -> tuple[int, int]:
    """The two allele numbers of one GT value.

    Raises:
        Malformed: It is none, or has more than two alleles.
    """
    match = _CALL.match(text)
    if match is None:
        several = len(re.findall(rb"[|/]", text.lstrip(b"|/"))) > 1
        raise Malformed("has calls of more than two alleles" if several else "has a call that is no genotype")
    first, second = match.groups()
    return _allele(first), ABSENT if second is None else _allele(second)


def calls_of(columns: bytes, people: int) -> NDArray[np.int16]:
    """The calls of a line whose FORMAT begins with GT.

    Args:
        columns: The genotype columns of the line, separated by tabs, without a tab or a line end after them.
        people: How many there must be.

    Returns:
        int16 [people, 2], as `Record.calls`.

    Raises:
        Malformed: Another number of columns, or a call that is none.
    """
    if len(columns) == 4 * people - 1:
        usual = _usual(columns + b"\t", people)
        if usual is not None:
            return usual
    return _any_form(columns, people)


def _usual(columns: bytes, people: int) -> NDArray[np.int16] | None:
    """Calls of lines whose columns are all `a/b` or `a|b` and nothing else; None for other lines."""
    words = np.frombuffer(columns, dtype="<u4")
    differing = words ^ (_PHASED if columns[1] == _BAR else _UNPHASED)
    if int(np.bitwise_or.reduce(differing)) & ~int(_FOUR_ALLELES) == 0:
        return differing.view(np.uint8).reshape(people, 4)[:, ::2].astype(np.int16)
    raw = words.view(np.uint8).reshape(people, 4)
    if not (raw[:, 3] == _TAB).all() or not ((raw[:, 1] == _SLASH) | (raw[:, 1] == _BAR)).all():
        return None
    calls = raw[:, ::2].astype(np.int16) - _ZERO
    if int(calls.max()) > 9 or int(calls.min()) < _DOT or bool((calls == _SLASH - _ZERO).any()):
        return None
    calls[calls == _DOT] = MISSING
    return calls


def _any_form(columns: bytes, people: int) -> NDArray[np.int16]:
    padded = np.frombuffer(columns + b"\t\t\t\t", dtype=np.uint8)
    ends = np.flatnonzero(padded[: len(columns) + 1] == _TAB)
    if len(ends) != people:
        raise Malformed(f"has {len(ends)} genotype columns, not {people}")
    starts = np.concatenate([np.zeros(1, dtype=ends.dtype), ends[:-1] + 1])
    first, middle, second, after = (padded[starts + place] for place in range(4))
    separated = (middle == _SLASH) | (middle == _BAR)
    pair = separated & _is_allele(first) & _is_allele(second) & ((after == _COLON) | (after == _TAB))
    alone = _is_allele(first) & ((middle == _COLON) | (middle == _TAB))
    calls = np.empty((people, 2), dtype=np.int16)
    calls[:, 0] = _numbers(first)
    calls[:, 1] = np.where(alone, ABSENT, _numbers(second))
    for person in np.flatnonzero(~(pair | alone)):
        calls[person] = call_of(columns[starts[person] : ends[person]].partition(b":")[0])
    return calls


def values_of(columns: bytes, people: int, place: int) -> list[bytes]:
    """The field at `place` of every column, `.` where a column ends before it.

    Raises:
        Malformed: Another number of columns.
    """
    parts = columns.split(b"\t")
    if len(parts) != people:
        raise Malformed(f"has {len(parts)} genotype columns, not {people}")
    found = []
    for part in parts:
        fields = part.split(b":", place + 1)
        found.append(fields[place] if len(fields) > place else b".")
    return found


def numbers_of(values: list[bytes]) -> NDArray[np.float32]:
    """Numbers of a field, one value or several per person: float32 [people, values], NaN where missing.

    Raises:
        Malformed: A value is no number.
    """
    if not any(b"," in value for value in values):
        try:
            return np.asarray([b"nan" if value in (b".", b"") else value for value in values]).astype(np.float32)[
                :, None
            ]
        except ValueError:
            raise Malformed("has a value that is no number") from None
    rows = [value.split(b",") for value in values]
    width = max((len(row) for row in rows), default=1)
    found = np.full((len(rows), width), np.nan, dtype=np.float32)
    try:
        for row, texts in zip(found, rows, strict=True):
            for place, text in enumerate(texts):
                if text not in (b".", b""):
                    row[place] = float(text)
    except ValueError:
        raise Malformed("has a value that is no number") from None
    return found


def _is_allele(characters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (characters >= _ZERO) & (characters <= _ZERO + 9) | (characters == _ZERO + _DOT)
    return found


def _numbers(characters: NDArray[np.uint8]) -> NDArray[np.int16]:
    numbers = characters.astype(np.int16) - _ZERO
    numbers[numbers == _DOT] = MISSING
    return numbers


def _allele(text: bytes) -> int:
    return MISSING if text == b"." else int(text)
