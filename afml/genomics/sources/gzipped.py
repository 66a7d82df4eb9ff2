"""VCF in plain gzip as a source of calls: one stream, read from its beginning to its end.

gzip has no end-of-file block, but one member of it carries the checksum and the size of all its content: a file of one
member that lacks its tail, or a byte, is an error. A file of several members can lose the last of them without a trace
and is refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames
from afml.genomics.filters import Regions
from afml.genomics.sources.bgzf import RESTORE
from afml.genomics.sources.bytestream import lines
from afml.genomics.sources.header import Header
from afml.genomics.sources.record import Record, Span, columns_of
from afml.genomics.sources.text import LineReader

MAGIC = b"\x1f\x8b"
"""How any gzip file begins, a bgzipped one as well."""

_READ = 1 << 18
_GZIP = 31  # zlib: with gzip's header, checksum and size
_AGAIN = "compress it again (gunzip -c FILE | bgzip > NEW)"


class GzippedText:
    """A gzipped VCF.

    Args:
        path: The file.
        need_samples: Refuse a file without genotype columns.
        keep: Samples to give, in this order; None for all.

    Attributes:
        path: The file.
        samples: The people of every record's calls.
        lines: Meta lines of the header.
        fragile: False: plain Python reads it.

    Raises:
        InputError: Damaged, of several members, malformed header, no samples, or lacks one to keep.
    """

    fragile = False

    def __init__(self, path: Path, *, need_samples: bool = True, keep: Sequence[str] | None = None) -> None:
        self.path = path
        self._names = ContigNames(path)
        rows: list[bytes] = []
        for row in lines(_content(path)):
            rows.append(row.rstrip(b"\r"))
            if not row.startswith(b"##"):
                break
        self._header = Header(rows, path)
        self._rows = len(rows)
        self.lines: Sequence[str] = self._header.lines
        self._kept = None if keep is None else columns_of(keep, self._header.samples, path)
        self.samples: list[str] = self._header.samples if keep is None else list(keep)
        if need_samples and not self.samples:
            raise InputError("VCF holds no samples", where=path, cure="give a file with genotype columns")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open between passes."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length in bases: the header's and those of the records read so far."""
        return {**dict.fromkeys(self._names.spellings), **self._header.contigs}

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key, None where the header lacks the key."""
        return self._header.description(key)

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> list[Any]:
        """The whole file: gzip cannot be read from its middle."""
        return [None]

    def records(self, spans: Sequence[Span] | None = None, part: Any = None) -> Iterator[Record]:
        """Every record in file order; with spans those alone that touch one of them. The file is read to its end.

        Raises:
            InputError: Damage or a malformed record, with its line.
        """
        wanted = None if spans is None else Regions((contig, first - 1, last) for contig, first, last in spans)
        reader = LineReader(self.path, len(self._header.samples), self._kept, self._names)
        rows = islice(lines(_content(self.path)), self._rows, None)
        for record in reader.records(rows, self._rows + 1):
            if wanted is None or wanted.overlaps(record.chrom, record.pos, max(1, record.end - record.pos + 1)):
                yield record


def _content(path: Path) -> Iterator[bytes]:
    """The content of a file of one gzip member.

    Raises:
        InputError: It is cut short, damaged, of several members, or something follows it.
    """
    member = zlib.decompressobj(_GZIP)
    with path.open("rb") as handle:
        try:
            while not member.eof:
                data = handle.read(_READ)
                if not data:
                    raise InputError("VCF is truncated (its gzip stream does not end)", where=path, cure=RESTORE)
                yield member.decompress(data)
        except zlib.error:
            raise InputError("VCF is damaged: it is not what its checksum says", where=path, cure=RESTORE) from None
        rest = member.unused_data + handle.read(len(MAGIC))
    if rest.startswith(MAGIC):
        problem = "VCF is not bgzipped but gzipped in several parts: it can lose the last ones without a trace"
        raise InputError(problem, where=path, cure=_AGAIN)
    if rest:
        raise InputError("VCF has bytes after the end of its gzip stream", where=path, cure=RESTORE)
