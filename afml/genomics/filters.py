"""Site filters: excluded regions (BED). Frequencies are filtered while the sites are chosen (`choice`)."""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import require_file
from afml.genomics.contigs import ContigNames, require_shared


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
                text = line.decode("utf-8", "replace").strip()
                if not text or text.startswith(("#", "track", "browser")):
                    continue
                intervals.append(_interval(text, number, path, names))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"BED file is damaged ({error})", where=path, cure="restore the file") from None
    if not intervals:
        raise InputError("BED file holds no interval", where=path, cure="leave it out to exclude nothing")
    return Regions(intervals, names.spellings)


def read_exclusions(paths: Iterable[Path]) -> list[tuple[Path, Regions]]:
    """Read several BED files, keeping each beside its path for messages."""
    return [(path, read_bed(path)) for path in paths]


def require_overlap_in_names(exclusions: list[tuple[Path, Regions]], contigs: list[str], vcf: Path) -> None:
    """Refuse a BED file none of whose contigs is in the VCF: it would exclude nothing without a word.

    Raises:
        InputError: Names both files and some of their contigs.
    """
    for path, regions in exclusions:
        require_shared(regions.contigs, path, contigs, vcf)


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
