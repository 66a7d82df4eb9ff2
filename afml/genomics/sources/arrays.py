"""Sources whose sites are known beforehand and whose calls lie in arrays: PLINK files and VCF Zarr."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from afml.genomics.sources.record import Record, Span, columns_of, require_listed

_BLOCK_BYTES = 32 << 20
_SMALLEST_PART = 32 << 20  # bytes of calls that are worth a process of their own


Site: TypeAlias = tuple[str, int, tuple[str, ...], tuple[str, ...]]
"""(canonical contig, position, alleles, filters that failed)."""


class ArrayPart(NamedTuple):
    """A stretch of the sites that are read.

    Attributes:
        first: Of these sites, by place.
        stop: Behind the last one.
    """

    first: int
    stop: int


class ArrayRecord(Record):
    """A record whose calls, and numbers by FORMAT field, are rows of arrays."""

    __slots__ = ("_calls", "_filters", "_numbers")

    def __init__(self, site: Site, calls: NDArray[np.int8], where: Path) -> None:
        self.chrom, self.pos, self.alleles, self._filters = site
        self._calls, self.where = calls, where
        self._numbers: dict[str, NDArray[np.float32]] = {}

    def holding(self, numbers: dict[str, NDArray[np.float32]]) -> Self:
        """The record, with FORMAT fields beside its calls, each [people, values]."""
        self._numbers = numbers
        return self

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters that the record failed."""
        return self._filters

    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, 2]; see `Record.calls`."""
        return require_listed(self._calls.astype(np.int16), self)

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        """A numeric FORMAT field; see `Record.numbers`."""
        return self._numbers.get(field)


class ArraySource(ABC):
    """A source that knows its sites before it reads calls, block by block.

    Args:
        path: The file or folder.
        people: Everybody in it.
        keep: Samples to give, in this order; None for all.

    Attributes:
        samples: The people of every record's calls.
        lines: Meta lines.
        fragile: Whether a library reads it that may end the process.
    """

    fragile = False

    def __init__(self, path: Path, people: list[str], keep: Sequence[str] | None) -> None:
        self.path = path
        self._people = len(people)
        self._kept: NDArray[np.int64] | None = None if keep is None else columns_of(keep, people, path)
        self.samples: list[str] = people if keep is None else list(keep)
        self.lines: Sequence[str] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open between passes."""
        return

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    @property
    @abstractmethod
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length."""

    def info_description(self, key: str) -> str | None:
        """The Description of an INFO key, None where there is none."""
        return None

    def parts(self, count: int, spans: Sequence[Span] | None = None) -> list[ArrayPart]:
        """Stretches of the sites that touch the spans, of the same length; at most `count`."""
        sites = len(self._touching(spans))
        count = max(1, min(count, sites * self._people * 2 // _SMALLEST_PART))
        edges = [sites * number // count for number in range(count + 1)]
        return [ArrayPart(edges[number], edges[number + 1]) for number in range(count)]

    def records(self, spans: Sequence[Span] | None = None, part: ArrayPart | None = None) -> Iterator[Record]:
        """Records in file order; see `CallSource.records`."""
        sites = self._touching(spans)
        sites = sites if part is None else sites[part.first : part.stop]
        step = max(1, _BLOCK_BYTES // max(1, 4 * self._people))
        for start in range(0, len(sites), step):
            yield from self._read(sites[start : start + step])

    @abstractmethod
    def _touching(self, spans: Sequence[Span] | None) -> NDArray[np.int64]:
        """Numbers of the sites that touch the spans, ascending."""

    @abstractmethod
    def _read(self, sites: NDArray[np.int64]) -> Iterator[Record]:
        """Records of some sites."""
