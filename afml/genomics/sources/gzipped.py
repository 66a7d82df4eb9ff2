"""VCF in plain gzip as a source of calls: one stream, read from its beginning to its end.

gzip has no end-of-file block, but one member of it carries the checksum and the size of all its content: a file of one
member that lacks its tail, or a byte, is an error. A file of several members can lose the last of them without a trace
and is refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from afml.core.errors import InputError
from afml.genomics.filters import Regions
from afml.genomics.sources.bgzf import RESTORE
from afml.genomics.sources.bytestream import lines
from afml.genomics.sources.header import Header
from afml.genomics.sources.onefile import OneFile
from afml.genomics.sources.record import Record, Span
from afml.genomics.sources.text import LineReader

MAGIC = b"\x1f\x8b"
"""How any gzip file begins, a bgzipped one as well."""

_READ = 1 << 18
_GZIP = 31  # zlib: with gzip's header, checksum and size
_AGAIN = "compress it again (gunzip -c FILE | bgzip > NEW)"


class GzippedText(OneFile):
    """A gzipped VCF; arguments and attributes are those of `OneFile`, which reads the header here.

    Raises:
        InputError: Damaged, of several members, malformed header, no samples, or lacks one to keep.
    """

    def __init__(self, path: Path, *, need_samples: bool = True, keep: Sequence[str] | None = None) -> None:
        rows: list[bytes] = []
        for row in lines(_content(path)):
            rows.append(row.rstrip(b"\r"))
            if not row.startswith(b"##"):
                break
        self._rows = len(rows)
        super().__init__(path, Header(rows, path), need_samples=need_samples, keep=keep)

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
