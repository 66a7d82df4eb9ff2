"""VCF and BCF as a source of calls.

Only BGZF files are read (bgzipped VCF, or BCF): their end-of-file block shows that no tail is missing and every block
carries a checksum, so a damaged file is an error and never a shorter file; plain text and plain gzip can lose their
tail at a line break without a trace. Nothing of htslib reads them: no malformed line ends the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

from afml.core.errors import InputError
from afml.genomics.filters import Regions
from afml.genomics.sources import bcf
from afml.genomics.sources.bgzf import RESTORE, Damage, blocks, next_block, require_bgzf
from afml.genomics.sources.bytestream import contents, lines, lines_between
from afml.genomics.sources.header import Header
from afml.genomics.sources.index import FileIndex, Stretch, find_index
from afml.genomics.sources.onefile import OneFile
from afml.genomics.sources.record import Record, Span
from afml.genomics.sources.text import LineReader

_BCF_HEAD = 9  # magic, version, size of the text
_SMALLEST_PART = 4 << 20  # compressed bytes that are worth a process of their own


class FilePart(NamedTuple):
    """A part of a file, for a process of its own.

    Attributes:
        start: Virtual offset.
        stop: Virtual offset; None is the end of the file.
        exact: Whether a record begins at `start`, and one ends before `stop`; else the part begins after the end of
            the line (the header of a BCF) at `start` and ends with the line that begins before or at `stop`.
    """

    start: int
    stop: int | None
    exact: bool


Parts: TypeAlias = tuple[FilePart, ...]
"""What one process reads of a file, in the order of the file."""


class VariantFile(OneFile):
    """A bgzipped VCF or a BCF; arguments and attributes are those of `OneFile`, which reads the header here.

    Raises:
        InputError: Missing, not BGZF, truncated, malformed header, duplicate samples, no samples, or lacks one to keep.
    """

    def __init__(self, path: Path, *, need_samples: bool = True, keep: Sequence[str] | None = None) -> None:
        self.path = require_bgzf(path)
        self._binary = False
        header, self._last, self._lines_before = self._read_header()
        super().__init__(path, header, need_samples=need_samples, keep=keep)
        self._people = len(header.samples)
        try:
            self._dictionary = bcf.Dictionary(header) if self._binary else None
        except ValueError:
            problem = "VCF header numbers a contig or key with something else than a number (IDX)"
            raise InputError(problem, where=path, cure=RESTORE) from None

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    def records(self, spans: Sequence[Span] | None = None, part: Parts | None = None) -> Iterator[Record]:
        """Every record in file order; with spans those alone that touch one of them, by the index if there is one.

        Args:
            spans: Where; None for everywhere.
            part: One of `parts`; None for the whole file.

        Raises:
            InputError: A damaged block or a malformed record, with its line or the last place that could be read.
        """
        if spans is None:
            yield from self._read(part)
            return
        wanted = Regions((contig, first - 1, last) for contig, first, last in spans)
        index = self._index() if part is None else None
        places: Sequence[FilePart] | None = part
        if index is not None:
            places = [FilePart(piece.start, piece.stop, exact=True) for piece in index.stretches(spans)]
        for record in self._read(places):
            if wanted.overlaps(record.chrom, record.pos, max(1, record.end - record.pos + 1)):
                yield record

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> list[Parts]:
        """Divide the file into at most `count` parts of about the same size, for `records`.

        Where an index says that the spans are in less than half of the file, that is what is divided. Else a text is
        divided at any block; a BCF where its index says that records begin, and not at all without one.
        """
        size = self.path.stat().st_size
        index = self._index() if self._binary or spans is not None else None
        if index is not None and spans is not None:
            found = [FilePart(piece.start, piece.stop, exact=True) for piece in index.stretches(spans)]
            if sum(map(_size, found)) < size / 2:
                return _dealt(found, count)
        count = max(1, min(count, size // _SMALLEST_PART))
        begin = self._last >> 16
        goals = [begin + (size - begin) * number // count for number in range(1, count)]
        known = [] if index is None else [start for start in index.starts() if start > self._last]
        with self.path.open("rb") as handle:
            cuts = {
                next((start for start in known if start >> 16 >= goal), None)
                if self._binary
                else _virtual(next_block(handle, goal), begin)
                for goal in goals
            }
        edges = [self._last, *sorted(cut for cut in cuts if cut is not None), None]
        return [
            (FilePart(cast(int, start), stop, exact=self._binary and start != self._last),)
            for start, stop in pairwise(edges)
        ]

    def _index(self) -> FileIndex | None:
        return find_index(self.path, {} if self._dictionary is None else self._dictionary.contigs)

    def _read(self, parts: Iterable[FilePart] | None) -> Iterator[Record]:
        reader = LineReader(self.path, self._people, self._kept, self._names)
        with self.path.open("rb") as handle:
            try:
                for part in parts if parts is not None else [FilePart(self._last, None, exact=False)]:
                    if self._dictionary is not None:
                        content = contents(handle, Stretch(part.start, part.stop))
                        yield from self._binary_records(
                            content if part.exact else _but_first_byte(content), self._dictionary, reader
                        )
                    elif part.exact:
                        yield from reader.records(lines(contents(handle, Stretch(part.start, part.stop))), None)
                    else:
                        stop = None if part.stop is None else part.stop >> 16
                        first = self._lines_before + 1 if part.start == self._last else None
                        yield from reader.records(lines_between(handle, part.start, stop), first)
            except Damage as damage:
                place = f", {reader.after}" if reader.last is not None else ""
                raise InputError(f"a record cannot be read{place}: {damage}", where=self.path, cure=RESTORE) from None

    def _binary_records(
        self, content: Iterator[bytes], dictionary: bcf.Dictionary, reader: LineReader
    ) -> Iterator[Record]:
        try:
            for record in bcf.records(content, dictionary, self.path):
                record.chrom = self._names.canonical(record.chrom)
                if record.people != self._people:
                    raise ValueError(record.people)
                record.select(self._kept)
                reader.last = record
                yield record
        except ValueError:
            raise Damage("what stands there is no BCF record") from None

    def _read_header(self) -> tuple[Header, int, int]:
        """(header, virtual offset of its last byte, its lines); notes whether the file is BCF."""
        held, end = b"", None
        starts: list[tuple[int, int]] = []  # (byte of the content, byte of the file) of every block
        try:
            with self.path.open("rb") as handle:
                for place, content in blocks(handle):
                    starts.append((len(held), place))
                    held += content
                    end = self._end_of_header(held)
                    if end is not None:
                        break
        except Damage as damage:
            raise InputError(f"VCF is damaged: {damage}", where=self.path, cure=RESTORE) from None
        end = len(held) if end is None else end
        text = held[_BCF_HEAD:end].rstrip(b"\0") if self._binary else held[:end]
        rows = [line.rstrip(b"\r") for line in text.removesuffix(b"\n").split(b"\n")]
        header = Header(rows, self.path)
        begin, place = next((begin, place) for begin, place in reversed(starts) if begin < end)
        return header, place << 16 | end - 1 - begin, len(rows)

    def _end_of_header(self, held: bytes) -> int | None:
        """Where the header ends, None where more must be read."""
        if held.startswith(bcf.MAGIC):
            self._binary = True
            size = _BCF_HEAD + int.from_bytes(held[_BCF_HEAD - 4 : _BCF_HEAD], "little")
            return size if len(held) >= max(size, _BCF_HEAD) else None
        if held and not held.startswith(b"#"):
            return len(held)
        columns = held.find(b"\n#CHROM")
        end = held.find(b"\n", columns + 1) if columns >= 0 else -1
        return end + 1 if end >= 0 else None


def _but_first_byte(content: Iterator[bytes]) -> Iterator[bytes]:
    yield next(content, b"")[1:]
    yield from content


def _virtual(block: int | None, begin: int) -> int | None:
    """The virtual offset of a block's first byte; None for one that is not after `begin`."""
    return None if block is None or block <= begin else block << 16


def _size(part: FilePart) -> int:
    """Bytes of the file, about."""
    return max(1, ((part.stop or 0) >> 16) - (part.start >> 16))


def _dealt(parts: Sequence[FilePart], count: int) -> list[Parts]:
    """At most `count` runs of parts of about the same size; always one at least."""
    whole = sum(map(_size, parts))
    count = max(1, min(count, whole // _SMALLEST_PART))
    runs: list[list[FilePart]] = [[] for _ in range(count)]
    before = 0
    for part in parts:
        runs[min(count - 1, before * count // whole)].append(part)
        before += _size(part)
    return [tuple(run) for run in runs if run] or [()]
