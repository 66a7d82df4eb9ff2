"""TBI and CSI indexes of bgzipped VCF and BCF: where in a file the records of some spans stand.

Formats: the Tabix and CSI specifications (samtools/hts-specs). An index older than its file is not used: it may speak
of another file, and what it does not name would look as if it were not there.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import InputError
from afml.genomics.contigs import canonical
from afml.genomics.sources.record import Span

_TBI, _CSI = b"TBI\x01", b"CSI\x01"
_TBI_SHIFT, _TBI_DEPTH = 14, 5
_CONFIGURED = 28  # bytes of what Tabix was told: seven numbers, then the names


@dataclass(frozen=True)
class Stretch:
    """A part of a BGZF file between two virtual offsets (byte of the block << 16, byte of its content).

    Attributes:
        start: Where a record begins.
        stop: Where the last one ends; None is the end of the file.
    """

    start: int
    stop: int | None = None


@dataclass(frozen=True)
class _Contig:
    """One contig: chunks of every bin, where a bin begins (CSI), and the linear index (TBI)."""

    chunks: Mapping[int, Sequence[tuple[int, int]]]
    begins: Mapping[int, int]
    linear: Sequence[int]


class FileIndex:
    """The index of one file.

    Args:
        contigs: Contig as spelled -> its bins.
        shift: Bits of the smallest bin's width.
        depth: Levels of bins below the first.
    """

    def __init__(self, contigs: Mapping[str, _Contig], shift: int, depth: int) -> None:
        # Several names may mean one contig: the part of X that pairs has a name of its own beside X.
        self._contigs: dict[str, list[_Contig]] = {}
        for name, contig in contigs.items():
            self._contigs.setdefault(canonical(name), []).append(contig)
        self._shift, self._depth = shift, depth

    def stretches(self, spans: Iterable[Span]) -> list[Stretch]:
        """Where records that touch the spans may stand, in file order; others may stand there, too."""
        windows: dict[tuple[str, int], tuple[int, int]] = {}  # spans that begin in one bin are looked up together
        for contig, first, last in spans:
            least, most = windows.get((contig, first >> self._shift), (first, last))
            windows[contig, first >> self._shift] = min(first, least), max(last, most)
        found: set[tuple[int, int]] = set()
        for (contig, _), (first, last) in windows.items():
            for bins in self._contigs.get(contig, ()):
                found.update(self._chunks(bins, max(0, first - 1), last))
        merged: list[list[int]] = []
        for start, stop in sorted(found):
            # What begins in the block in which the last one ends is read with it.
            if merged and start >> 16 <= merged[-1][1] >> 16:
                merged[-1][1] = max(merged[-1][1], stop)
            else:
                merged.append([start, stop])
        return [Stretch(start, stop) for start, stop in merged]

    def starts(self) -> list[int]:
        """Virtual offsets at which records begin: places to divide the file at."""
        return sorted(
            {
                start
                for contigs in self._contigs.values()
                for bins in contigs
                for chunks in bins.chunks.values()
                for start, _ in chunks
            }
        )

    def _chunks(self, bins: _Contig, first: int, end: int) -> Iterable[tuple[int, int]]:
        """Chunks of the bins that touch [first, end), 0-based, but for those that end before its first record."""
        end = min(end, 1 << (self._shift + 3 * self._depth))
        if first >= end:
            return
        least = self._least(bins, first)
        offset, shift = 0, self._shift + 3 * self._depth
        for level in range(self._depth + 1):
            for number in range(offset + (first >> shift), offset + ((end - 1) >> shift) + 1):
                for chunk in bins.chunks.get(number, ()):
                    if chunk[1] > least:
                        yield chunk
            offset += 1 << (3 * level)
            shift -= 3

    def _least(self, bins: _Contig, first: int) -> int:
        if bins.linear:
            return bins.linear[min(first >> self._shift, len(bins.linear) - 1)]
        number = ((1 << (3 * self._depth)) - 1) // 7 + (first >> self._shift)
        while number and number not in bins.begins:
            number = (number - 1) >> 3
        return bins.begins.get(number, 0)


def find_index(path: Path, contigs: Mapping[int, str]) -> FileIndex | None:
    """The index beside a file; None where there is none, or an older one than the file.

    Args:
        path: The VCF or BCF.
        contigs: Number of a contig in the file -> its name: the index of a BCF may know them by number alone.

    Raises:
        InputError: The index is damaged.
    """
    for suffix in (".csi", ".tbi"):
        beside = path.with_name(path.name + suffix)
        if beside.is_file() and beside.stat().st_mtime >= path.stat().st_mtime:
            try:
                return _read(gzip.decompress(beside.read_bytes()), contigs)
            except (OSError, EOFError, zlib.error, struct.error, ValueError, IndexError):
                raise InputError(
                    "index is damaged", where=beside, cure="remove it, or make it with bcftools index"
                ) from None
    return None


class _Bytes:
    """Numbers of a buffer, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        form = "<" + form
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def one(self, form: str = "i") -> int:
        return self.take(form)[0]

    def text(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._data):
            raise ValueError(size)
        self._at += size
        return self._data[self._at - size : self._at]


def _read(data: bytes, contigs: Mapping[int, str]) -> FileIndex:
    source = _Bytes(data)
    kind = source.text(4)
    if kind == _TBI:
        count, *_ = source.take("7i")
        names = _names(source.text(source.one()))
        return FileIndex(
            dict(zip(names, [_contig(source, _TBI_DEPTH, linear=True) for _ in range(count)], strict=True)),
            _TBI_SHIFT,
            _TBI_DEPTH,
        )
    if kind != _CSI:
        raise ValueError(kind)
    shift, depth, extra = source.take("3i")
    told = source.text(extra)
    found = [_contig(source, depth, linear=False) for _ in range(source.one())]
    if extra > _CONFIGURED:
        return FileIndex(dict(zip(_names(told[_CONFIGURED:]), found, strict=True)), shift, depth)
    return FileIndex({contigs[n]: bins for n, bins in enumerate(found) if n in contigs}, shift, depth)


def _names(text: bytes) -> list[str]:
    text = text.rstrip(b"\0")
    return [name.decode("utf-8") for name in text.split(b"\0")] if text else []


def _contig(source: _Bytes, depth: int, *, linear: bool) -> _Contig:
    last = ((1 << (3 * (depth + 1))) - 1) // 7
    chunks: dict[int, list[tuple[int, int]]] = {}
    begins: dict[int, int] = {}
    for _ in range(source.one()):
        number = source.one("I")
        if not linear:
            begins[number] = source.one("Q")
        offsets = source.take(f"{2 * source.one()}Q")
        if number <= last:  # the one after the last bin holds counts
            chunks[number] = list(zip(offsets[::2], offsets[1::2], strict=True))
    offsets = source.take(f"{source.one()}Q") if linear else ()
    return _Contig(chunks, begins, offsets)
