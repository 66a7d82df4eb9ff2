"""Phenotype tables: traits and covariates of people, as TSV files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file, write_bytes
from afml.data.people import PersonColumns, format_number, parse_number

#: The column of a table that names none of its own: always cases (1) and controls (0).
PHENOTYPE = "phenotype"
#: Numbers that programs write for a missing one (PLINK, SPSS, ...): refused where a column has no other below 0.
MISSING_CODES = (-9.0, -99.0, -999.0, -9999.0)
#: Said for "nothing is a code".
NO_CODE = "none"
_HEADER = "sample<TAB>phenotype, or sample<TAB>name1<TAB>name2..."


def read_phenotypes(
    path: Path, samples: Sequence[str], person_of: Mapping[str, str] | None = None, codes: Sequence[str] = ()
) -> PersonColumns:
    """Read the columns of a TSV with the header `sample<TAB>name1<TAB>name2...` (`Sample` too) for every sample.

    Rows of people who are not in `samples` are allowed; several rows of one person must say the same. A cell
    without a finite number becomes NaN, and is an error only to a run that declares its column; a column called
    `phenotype` holds 0 or 1 for everybody, or a declared code. No message ever holds a value, but for a code.

    Args:
        path: The table.
        samples: Names of the people.
        person_of: Other name -> name of the person; rows may stand under either.
        codes: What stands for a missing number, beside what is none anyway; `none` says that nothing does. Where this
            is empty, a column with one of `MISSING_CODES` and no other number below 0 is refused.

    Returns:
        The columns, rows in the order of `samples`.

    Raises:
        InputError: Missing file, bad header, bad or repeated row (with its line), samples without a row, or numbers
            that look like a code for a missing one.
    """
    names, rows = _rows(path, samples, person_of or {}, codes)
    absent = [name for name in samples if name not in rows]
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        cure = "add their lines, or leave these samples out with --without"
        there = {_folded(line.split("\t")[0]) for line in path.read_text(encoding="utf-8-sig").splitlines()[1:]}
        nearly = sum(_folded(name) in there for name in absent)
        if nearly:
            cure = f"but for case or blanks {nearly} of them stand in it: call people there as the genotypes do"
        elif len(absent) == len(samples):
            cure = "nobody of the genotypes stands in it: call people there as the genotypes do"
        raise InputError(f"{len(absent)} of {len(samples)} samples have no phenotype ({shown})", where=path, cure=cure)
    table = np.array([rows[name] for name in samples], dtype=np.float64).reshape(len(samples), len(names))
    if not codes:
        _require_no_codes(names, table, path)
    return PersonColumns(names, table)


def _folded(name: str) -> str:
    """A name without what people do not look at: case and blanks."""
    return "".join(name.split()).casefold()


def _rows(
    path: Path, samples: Sequence[str], person_of: Mapping[str, str], codes: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, list[float]]]:
    """Names of the columns, and the rows of these people and of those in the map; errors as `read_phenotypes`."""
    require_file(path, "phenotype table")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("phenotype table is not text", where=path, cure="give a tab-separated table") from None
    names = _names(lines[0] if lines else "", path)
    missing, wanted = _Codes(codes), {*samples, *person_of}
    place = names.index(PHENOTYPE) if PHENOTYPE in names else None
    rows: dict[str, list[float]] = {}
    unreadable: dict[int, float] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        sample, *cells = line.split("\t")
        values = [missing.parse(cell) for cell in cells]
        if place is not None and len(cells) <= place:
            unreadable[number] = math.nan
            continue
        if len(cells) != len(names):
            raise InputError(
                f"line {number} has {len(cells) + 1} columns, the header {len(names) + 1}",
                where=path,
                cure="correct this line",
            )
        if place is not None and values[place] not in (0, 1) and not missing.declared(cells[place]):
            unreadable[number] = values[place]
        if sample in rows:
            raise InputError(f"line {number} repeats sample {sample}", where=path, cure="keep one line each")
        rows[sample] = values if sample in wanted else []  # a table may be of five institutions
    _require_cases(unreadable, path)
    return names, _of_people({name: values for name, values in rows.items() if name in wanted}, person_of, path)


def check_phenotypes(
    path: Path, samples: Sequence[str], person_of: Mapping[str, str], codes: Sequence[str] = (), *, whole: bool
) -> None:
    """Refuse at once what `read_phenotypes` would refuse once the records are read: these take minutes, a table none.

    Args:
        path: The table.
        samples: Names of the people, as far as they are known by then.
        person_of: As there.
        codes: As there.
        whole: Whether all of them will be stored. Where some may be left out yet, nobody need have a row, and what
            looks like a code is not judged: it may be theirs alone.

    Raises:
        InputError: As there.
    """
    if not whole:
        _, rows = _rows(path, samples, person_of, codes)
        samples, codes = [name for name in samples if name in rows] or samples, codes or (NO_CODE,)
    read_phenotypes(path, samples, person_of, codes)


class _Codes:
    """What stands for a missing number in a table."""

    def __init__(self, codes: Sequence[str]) -> None:
        self._texts = {code.strip() for code in codes} - {NO_CODE}
        self._numbers = {number for code in self._texts if not math.isnan(number := parse_number(code))}

    def declared(self, cell: str) -> bool:
        """Whether a cell is a code: its text, or its number."""
        return cell.strip() in self._texts or parse_number(cell) in self._numbers

    def parse(self, cell: str) -> float:
        """The number of a cell, NaN for a code and for whatever is none."""
        if not self._texts:
            return parse_number(cell)
        return math.nan if self.declared(cell) else parse_number(cell)


def _require_cases(unreadable: Mapping[int, float], path: Path) -> None:
    """Refuse a `phenotype` that is not 0 or 1 (line -> its number, NaN for none); the cure fits what is there."""
    if not unreadable:
        return
    first, others = min(unreadable), len(unreadable) - 1
    if set(unreadable.values()) == {2.0}:
        cure = "take 1 from all if controls are 1 and cases 2, as PLINK writes them"
    elif any(map(math.isnan, unreadable.values())):
        cure = "write 1 for cases and 0 for controls, and leave people who are neither out with --without"
    else:
        cure = "correct this line"
    more = f", nor have {others} further lines" if others else ""
    raise InputError(f"line {first} has no phenotype 0 or 1{more}", where=path, cure=cure)


def _require_no_codes(names: Sequence[str], table: NDArray[np.float64], path: Path) -> None:
    """Refuse columns whose only number below 0 is one that programs write for a missing value."""
    for name, column in zip(names, table.T, strict=True):
        below = set(column[column < 0].tolist())
        if len(below) == 1 and below <= set(MISSING_CODES):
            code, rows = f"{below.pop():g}", int((column < 0).sum())
            raise InputError(
                f"column '{name}' holds {code} in {rows} rows and no other number below 0",
                where=path,
                cure=f"give --missing-code={code} if it stands for a missing value, else --missing-code={NO_CODE}",
            )


def _of_people(rows: dict[str, list[float]], person_of: Mapping[str, str], path: Path) -> dict[str, list[float]]:
    """Rows by person, from rows by whatever name the person has in the table."""
    found: dict[str, list[float]] = {}
    differ: set[str] = set()
    for name, values in rows.items():
        person = person_of.get(name, name)
        if not np.array_equal(found.setdefault(person, values), values, equal_nan=True):
            differ.add(person)
    if differ:
        raise InputError(
            f"{len(differ)} people have several rows that do not say the same",
            where=path,
            cure="keep one line of each of them, or make them equal",
        )
    return found


def _names(header: str, path: Path) -> tuple[str, ...]:
    if not header:
        raise InputError("is empty, or its first line is", where=path, cure=f"begin with the header {_HEADER}")
    first, *names = header.split("\t")
    for separator in ";, ":
        if not names and separator in header.strip():
            raise InputError(
                f"columns are separated by '{separator}'", where=path, cure="save it with tabs between columns"
            )
    named = first.strip().lower() == "sample"
    if not named and names:
        cure = "call the first column 'sample', or add this header where there is none"
        raise InputError(f"first line is not {_HEADER}", where=path, cure=cure)
    if not named or not names or not all(name.strip() for name in names):
        raise InputError(f"first line is not {_HEADER}", where=path, cure="add this header")
    for name in names:
        if name in ("sample", "role") or names.count(name) > 1:
            raise InputError(f"cannot have a column '{name}' here", where=path, cure="rename it")
    _require_spelt(names, path)
    return tuple(names)


def _require_spelt(names: Sequence[str], path: Path) -> None:
    """Refuse a misspelt `phenotype`: otherwise only a node would, once the run is signed.

    A table of other traits has other names; one that begins with the word means another column by it.
    """
    if PHENOTYPE in names:
        return
    for name in names:
        if not name.startswith(PHENOTYPE) and get_close_matches(name.strip().lower(), [PHENOTYPE], 1, 0.85):
            raise InputError(f"has a column '{name}' and none '{PHENOTYPE}'", where=path, cure="correct its name")


def write_phenotypes(
    path: Path,
    samples: Sequence[str],
    values: NDArray[np.int8] | NDArray[np.float64],
    names: Sequence[str] = (PHENOTYPE,),
) -> None:
    """Write what `read_phenotypes` reads.

    Args:
        path: The table.
        samples: One a row.
        values: [people], or [people, columns].
        names: Of the columns.
    """
    table = values.astype(np.float64).reshape(len(samples), len(names)).tolist()
    rows = ["\t".join(("sample", *names))]
    rows += ["\t".join((name, *map(format_number, row))) for name, row in zip(samples, table, strict=True)]
    write_bytes(path, ("\n".join(rows) + "\n").encode())
