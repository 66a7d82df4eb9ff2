"""Allele frequencies of a panel: counted over its people, stated in INFO, or in a table that somebody published.

A table has a header with the columns `chrom`, `pos`, `ref`, `alt` and one of frequencies, in any order and any case,
`#` before the first allowed; tabs, commas or blanks between; plain or gzipped. An ALT has a line of its own.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.contigs import ContigNames
from afml.genomics.filters import Regions
from afml.genomics.sources.opening import expanded, open_source
from afml.genomics.sources.record import ABSENT, CallSource, Record, Span

MAX_MISSING = 0.05
"""Largest fraction of panel people whose call at a site may be missing."""

_PLACE = ("chrom", "pos", "ref", "alt")
_POPULATIONS = ("afr", "ami", "amr", "asj", "eas", "fin", "mid", "nfe", "oth", "remaining", "sas")
#: Name -> INFO fields, of which the first that a file has is taken: gnomAD 2 to 4, its joint release, 1000 Genomes.
FREQUENCY_PRESETS: dict[str, tuple[str, ...]] = {
    "gnomad": ("AF", "AF_joint"),
    **{f"gnomad-{name}": (f"AF_{name}", f"AF_joint_{name}") for name in _POPULATIONS},
    **{f"1000g-{name}": (f"{name.upper()}_AF",) for name in ("afr", "amr", "eas", "eur", "sas")},
}


def open_panel(vcf: Path | Sequence[Path], field: str) -> CallSource:
    """Open a panel's files: a table of frequencies, or whatever else holds calls or states frequencies.

    Args:
        vcf: The files.
        field: Column of the frequencies in a table.

    Raises:
        InputError: As `open_source` and `FrequencyTable`.
    """
    paths = expanded([vcf] if isinstance(vcf, Path) else vcf)
    if len(paths) == 1 and is_table(paths[0]):
        return FrequencyTable(paths[0], field)
    return open_source(paths, need_samples=False)


def frequency_field(field: str, source: CallSource) -> str:
    """The INFO field that is meant by a field or a preset: of a preset the first that the file has."""
    fields = FREQUENCY_PRESETS.get(field, (field,))
    return next((one for one in fields if source.info_description(one) is not None), fields[0])


def is_table(path: Path) -> bool:
    """Whether a file begins as a table of frequencies does."""
    try:
        with _opened(path) as lines:
            return set(_PLACE) <= set(_columns(lines.readline(1 << 16).decode("utf-8-sig", "replace")))
    except (OSError, EOFError, zlib.error):
        return False


def stated(record: Record, field: str) -> list[float | None]:
    """Frequency of every ALT by an INFO field; None for one that is listed twice."""
    given = record.stated(field)
    return [one if record.alleles.count(alt) == 1 else None for one, alt in zip(given, record.alleles[1:], strict=True)]


def counted(record: Record) -> list[float | None]:
    """Frequency of every ALT over complete calls, None where too many are missing.

    On X, Y and MT a haploid call is complete: it counts one allele. An ALT that is listed twice is one ALT.
    """
    calls = record.calls()  # [people, 2]
    pairs = (calls >= 0).all(axis=1)
    alone = (calls[:, 0] >= 0) & (calls[:, 1] == ABSENT) & (record.chrom in ("X", "Y", "MT"))
    complete, alleles = int((pairs | alone).sum()), 2 * int(pairs.sum()) + int(alone.sum())
    if complete == 0 or complete < (1 - MAX_MISSING) * len(calls):
        return [None] * (len(record.alleles) - 1)
    used = calls[pairs | alone]
    counts = np.bincount(used[used >= 0], minlength=len(record.alleles))
    same = [[number for number, one in enumerate(record.alleles) if one == alt] for alt in record.alleles[1:]]
    return [int(counts[numbers].sum()) / alleles for numbers in same]


class _Line(Record):
    """A line of a table: a site without people."""

    __slots__ = ("_value",)

    def __init__(self, place: tuple[str, int], alleles: tuple[str, str], value: str, where: Path) -> None:
        self.chrom, self.pos = place
        self.alleles, self.where, self._value = alleles, where, value

    def calls(self) -> NDArray[np.int16]:
        """Of nobody."""
        return np.zeros((0, 2), dtype=np.int16)

    def info(self, key: str) -> str | None:
        """The frequency, under whatever name it is asked for."""
        return self._value


class FrequencyTable:
    """A table of frequencies, opened for one pass over its lines.

    Args:
        path: The table.
        column: Of the frequencies.

    Attributes:
        paths: The table.
        samples: Nobody.
        lines: None: a table has no header lines.
        fragile: Reading a table ends no process.

    Raises:
        InputError: Missing file, or no such columns.
    """

    fragile = False

    def __init__(self, path: Path, column: str) -> None:
        self.paths: tuple[Path, ...] = (require_file(path, "table of frequencies"),)
        self.samples: list[str] = []
        self.lines: Sequence[str] = ()
        self._names = ContigNames(path)
        self._rows = _opened(path)
        head = _columns(self._rows.readline().decode("utf-8-sig", "replace"))
        wanted = [*_PLACE, column.lower()]
        absent = [name for name in wanted if name not in head]
        if absent:
            self._rows.close()
            raise InputError(f"has no column '{absent[0]}'", where=path, cure="name it in the header, or --af-field")
        self._places = [head.index(name) for name in wanted]
        self._width = len(head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contig names of the lines read so far, as spelled; a table states no lengths."""
        return dict.fromkeys(self._names.spellings)

    def info_description(self, key: str) -> str | None:
        """A table has no INFO."""
        return None

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> Sequence[Any]:
        """A table is read in one part."""
        return (None,)

    def records(self, spans: Sequence[Span] | None = None, part: Any = None) -> Iterator[Record]:
        """Every line, once; see `CallSource.records`.

        Raises:
            InputError: A damaged file, or a malformed line (with its number).
        """
        wanted = None if spans is None else Regions((contig, first - 1, last) for contig, first, last in spans)
        try:
            for number, line in enumerate(self._rows, start=2):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if text.strip():
                    record = self._record(_cells(text), number)
                    if wanted is None or wanted.overlaps(record.chrom, record.pos, len(record.alleles[0])):
                        yield record
        except (OSError, EOFError, zlib.error):
            raise InputError("table of frequencies is damaged", where=self.paths[0], cure="fetch it again") from None

    def _record(self, cells: list[str], number: int) -> Record:
        try:
            if len(cells) != self._width:
                raise ValueError
            chrom, pos, ref, alt, value = (cells[place] for place in self._places)
            position = int(pos)
            if position < 1 or not chrom:
                raise ValueError
        except ValueError:
            raise InputError(
                f"line {number} is not of the header's columns", where=self.paths[0], cure="correct this line"
            ) from None
        place = (self._names.canonical(chrom), position)
        return _Line(place, (ref.upper(), alt.upper()), value, self.paths[0])


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb") if zipped else path.open("rb"))


def _columns(line: str) -> list[str]:
    return [cell.strip().lower().lstrip("#") for cell in _cells(line.rstrip("\r\n"))]


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split(",") if "," in line else line.split()
