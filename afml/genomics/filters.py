"""Regions of the genome: of BED files, and as options name them. Sites are filtered by them in `choice`."""

from __future__ import annotations

import gzip
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.contigs import ContigNames, require_shared

_REGION = re.compile(r"(?P<contig>[^:\s]+)(?::(?P<first>\d{1,10})(?P<to>-(?P<last>\d{1,10})?)?)?\Z")
_LAST = 1 << 31
"""No contig is longer."""


class Regions:
    """A set of genome intervals, 0-based and half-open as in BED, merged per contig.

    Args:
        intervals: (canonical contig, start, end) in any order; overlaps are merged.
        contigs: The contigs as their file spells them, for messages.
    """

    def __init__(self, intervals: Iterable[tuple[str, int, int]], contigs: Iterable[str] = ()) -> None:
        self.contigs = list(contigs)
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in intervals:
            by_contig.setdefault(contig, []).append((start, end))
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for contig, spans in by_contig.items():
            starts: list[int] = []
            ends: list[int] = []
            for start, end in sorted(spans):
                if ends and start <= ends[-1]:
                    ends[-1] = max(ends[-1], end)
                elif end > start:
                    starts.append(start)
                    ends.append(end)
            self._starts[contig], self._ends[contig] = starts, ends

    @property
    def intervals(self) -> Iterator[tuple[str, int, int]]:
        """(canonical contig, start, end) of each, merged."""
        for contig, starts in self._starts.items():
            for start, end in zip(starts, self._ends[contig], strict=True):
                yield contig, start, end

    def overlaps(self, contig: str, pos: int, length: int) -> bool:
        """Whether the `length` reference bases from 1-based `pos` touch any interval."""
        starts = self._starts.get(contig)
        if not starts:
            return False
        first, end = pos - 1, pos - 1 + length
        index = bisect_right(starts, end - 1) - 1
        return index >= 0 and self._ends[contig][index] > first


def read_bed(path: Path) -> Regions:
    """Read a BED file, plain or gzipped.

    Only the first three columns count; blank lines and `#`, `track`, `browser` lines are skipped.

    Raises:
        InputError: Missing or damaged file, a bad line (with its number), or no interval at all.
    """
    require_file(path, "BED file")
    names = ContigNames(path)
    intervals: list[tuple[str, int, int]] = []
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
                if not text or text.startswith(("#", "track", "browser")):
                    continue
                intervals.append(_interval(text, number, path, names))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"BED file is damaged ({error})", where=path, cure="restore the file") from None
    if not intervals:
        raise InputError("BED file holds no interval", where=path, cure="leave it out to exclude nothing")
    return Regions(intervals, names.spellings)


def read_regions(given: Sequence[str]) -> Regions:
    """Regions as options name them.

    Args:
        given: BED files, and lists of `22`, `22:1000`, `22:1000-2000` or `22:1000-` with commas between; 1-based, both
            ends included. At least one.

    Raises:
        InputError: As `read_bed`, or a region that is none.
    """
    names = ContigNames("--regions")
    found: list[tuple[str, int, int]] = []
    spellings: list[str] = []
    for text in given:
        path = Path(text)
        if path.is_file() or path.suffix in (".bed", ".gz"):
            held = read_bed(path)
            found += held.intervals
            spellings += held.contigs
        else:
            found += [_named(one.strip(), names) for one in text.split(",") if one.strip()]
    if not found:
        raise InputError("names no region", where="--regions", cure="name one, such as 22:1000-2000, or a BED file")
    return Regions(found, [*spellings, *names.spellings])


def _named(text: str, names: ContigNames) -> tuple[str, int, int]:
    """A region as BED counts it."""
    match = _REGION.match(text)
    first = int(match["first"] or 1) if match else 0
    last = int(match["last"] or _LAST) if match and (match["to"] or not match["first"]) else first
    if match is None or not 1 <= first <= last:
        raise InputError(f"'{text}' is no region", where="--regions", cure="write 22, 22:1000 or 22:1000-2000")
    return names.canonical(match["contig"]), first - 1, last


def read_exclusions(paths: Iterable[Path]) -> list[tuple[Path, Regions]]:
    """Read several BED files, keeping each beside its path for messages."""
    return [(path, read_bed(path)) for path in paths]


def require_overlap_in_names(given: Iterable[tuple[object, Regions]], contigs: list[str], vcf: Path) -> None:
    """Refuse regions none of whose contigs is in the VCF: they would do nothing without a word.

    Args:
        given: (BED file or option, its regions).
        contigs: Of the VCF.
        vcf: It, for messages.

    Raises:
        InputError: Names both files and some of their contigs.
    """
    for where, regions in given:
        require_shared(regions.contigs, where, contigs, vcf)


def _interval(text: str, number: int, path: Path, names: ContigNames) -> tuple[str, int, int]:
    fields = text.split("\t") if "\t" in text else text.split()
    try:
        contig, start, end = fields[0], int(fields[1]), int(fields[2])
    except (IndexError, ValueError):
        problem = f"line {number} is not 'contig, start, end'"
        raise InputError(problem, where=path, cure="correct this line") from None
    if start < 0 or end < start:
        raise InputError(
            f"line {number} has start {start} and end {end}",
            where=path,
            cure="BED is 0-based and half-open: 0 <= start <= end",
        )
    return names.canonical(contig), start, end
