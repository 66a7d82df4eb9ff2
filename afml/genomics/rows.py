"""Calls on their way from records to a store: rows of scratch files, in the order in which they were read.

A row is all people's calls at one site. Rows are written as they come, by one process or by several into a file each,
and a store is made of them site by site afterwards: the order of the input does not matter, and memory holds one row
while records are read and one block of sites while the store is written. A row takes two bits per allele.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

_PLOIDY = 2
_BYTES_AT_ONCE = 1 << 20  # calls that are unpacked together

Join: TypeAlias = Callable[[int, Sequence[int], NDArray[np.int8]], NDArray[np.int8]]
"""What several parts of the input say of one site: (site, parts, calls [parts, people, 2]) -> calls [people, 2]."""


@dataclass(frozen=True)
class Rows:
    """The rows of one scratch file, the last one of each site.

    Attributes:
        path: The file.
        people: In each row.
        sites: int64 [rows], ascending.
        numbers: int64 [rows], which row of the file each is.
    """

    path: Path
    people: int
    sites: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.int8]:
        """Calls of some rows of the file, in any order: int8 [rows, people, 2]."""
        alleles = self.people * _PLOIDY
        calls = np.empty((len(numbers), alleles), dtype=np.int8)
        order = np.argsort(numbers, kind="stable")
        step = max(1, _BYTES_AT_ONCE // max(1, alleles))
        with self.path.open("rb", buffering=0) as handle:
            for start in range(0, len(order), step):
                some = order[start : start + step]
                packed = self._packed(handle, numbers[some])
                odd, negative = (np.unpackbits(plane, axis=1, count=alleles) for plane in packed)
                # 0 and 1 are even and odd; -2 and -1 are so, too, two below.
                odd -= negative
                odd -= negative
                calls[some] = odd.view(np.int8)
        return calls.reshape(len(numbers), self.people, _PLOIDY)

    def _packed(self, handle: BinaryIO, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Both planes of some rows, ascending, as they lie in the file: uint8 [2, rows, ceil(people / 4)]."""
        width = _bytes_of(self.people)
        packed = np.empty((2, len(numbers), width), dtype=np.uint8)
        for first, stop in _runs(numbers):
            handle.seek(int(numbers[first]) * 2 * width)
            block = np.frombuffer(handle.read((stop - first) * 2 * width), dtype=np.uint8)
            packed[:, first:stop] = block.reshape(stop - first, 2, width).transpose(1, 0, 2)
        return packed


class RowWriter:
    """Writes rows to a scratch file; a context manager.

    Args:
        path: The file.
        people: In each row.
    """

    def __init__(self, path: Path, people: int) -> None:
        self._path, self._people = path, people
        self._out = path.open("wb", buffering=1 << 20)
        self._planes = np.zeros((2, people * _PLOIDY), dtype=np.int8)
        self._at: dict[int, int] = {}
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def put(self, site: int, calls: NDArray[np.int8]) -> None:
        """Say what a site's calls are, int8 [people, 2] in {-2, -1, 0, 1}; replaces what was said before."""
        flat = calls.reshape(-1)
        np.bitwise_and(flat, 1, out=self._planes[0])
        np.less(flat, 0, out=self._planes[1].view(np.bool_))
        self._out.write(np.packbits(self._planes.view(np.uint8), axis=1).tobytes())
        self._at[site] = self._count
        self._count += 1

    def flush(self) -> None:
        """Write what waits in this process: a fork would write it again."""
        self._out.flush()

    def stored(self, site: int) -> NDArray[np.int8]:
        """The calls of a site that has some, int8 [people, 2]."""
        self._out.flush()
        rows = Rows(self._path, self._people, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        calls: NDArray[np.int8] = rows.read(np.array([self._at[site]]))[0]
        return calls

    def rows(self) -> Rows:
        """What was written."""
        self._out.flush()
        sites = np.fromiter(self._at.keys(), dtype=np.int64, count=len(self._at))
        numbers = np.fromiter(self._at.values(), dtype=np.int64, count=len(self._at))
        order = np.argsort(sites)
        return Rows(self._path, self._people, sites[order], numbers[order])


def first_part(site: int, parts: Sequence[int], calls: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the first part of the input says."""
    first: NDArray[np.int8] = calls[0]
    return first


class SiteRows:
    """The rows of all parts of an input, by site; a context manager.

    Args:
        parts: In the order of the input.
        sites: How many sites there are.
        join: Decides where several parts speak of a site; is asked once of each.

    Attributes:
        there: bool [S], which sites have calls.
    """

    def __init__(self, parts: Sequence[Rows], sites: int, join: Join = first_part) -> None:
        self._parts, self._join = parts, join
        self._people = parts[0].people
        all_sites = np.concatenate([part.sites for part in parts])
        order = np.argsort(all_sites, kind="stable")
        self._sites = all_sites[order]
        self._files = np.concatenate([np.full(len(p.sites), n, dtype=np.int16) for n, p in enumerate(parts)])[order]
        self._numbers = np.concatenate([part.numbers for part in parts])[order]
        self.there = np.zeros(sites, dtype=np.bool_)
        self.there[self._sites] = True
        first = parts[0].path
        self._later = RowWriter(first.with_name(f"{first.name}.later"), self._people)
        self._replaced = np.zeros(sites, dtype=np.bool_)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._later.__exit__()

    def put(self, sites: NDArray[np.int64], calls: NDArray[np.int8]) -> None:
        """Replace the calls of some sites that have some, int8 [sites, people, 2]."""
        for site, row in zip(sites.tolist(), calls, strict=True):
            self._later.put(site, row)
        self._replaced[sites] = True

    def join(self) -> None:
        """Decide now about every site of which several parts speak: from here on `read` writes nothing.

        Several processes may then read side by side, forked from this one.
        """
        sites, counts = np.unique(self._sites, return_counts=True)
        for site in sites[counts > 1]:
            self.read(np.array([site]))
        self._later.flush()

    def read(self, sites: NDArray[np.int64]) -> NDArray[np.int8]:
        """Calls of some sites that have some: int8 [sites, people, 2].

        Args:
            sites: Which, ascending.
        """
        first = np.searchsorted(self._sites, sites, side="left")
        counts = np.searchsorted(self._sites, sites, side="right") - first
        if bool((counts == 1).all()):
            return self._with_later(sites, self._rows(first))
        calls = np.empty((len(sites), self._people, _PLOIDY), dtype=np.int8)
        alone = counts == 1
        calls[alone] = self._rows(first[alone])
        for place in np.flatnonzero(~alone):
            entries = np.arange(first[place], first[place] + counts[place])
            site = sites[place : place + 1]
            if not self._replaced[site[0]]:
                self.put(site, self._join(int(site[0]), self._files[entries].tolist(), self._rows(entries))[None])
        return self._with_later(sites, calls)

    def _with_later(self, sites: NDArray[np.int64], calls: NDArray[np.int8]) -> NDArray[np.int8]:
        for place in np.flatnonzero(self._replaced[sites]):
            calls[place] = self._later.stored(int(sites[place]))
        return calls

    def _rows(self, entries: NDArray[np.int64]) -> NDArray[np.int8]:
        files = self._files[entries]
        if len(files) and bool((files == files[0]).all()):
            return self._parts[int(files[0])].read(self._numbers[entries])
        calls = np.empty((len(entries), self._people, _PLOIDY), dtype=np.int8)
        for number in np.unique(files):
            ours = files == number
            calls[ours] = self._parts[int(number)].read(self._numbers[entries[ours]])
        return calls


def _bytes_of(people: int) -> int:
    return -(-people * _PLOIDY // 8)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Stretches of consecutive ascending numbers, as positions."""
    edges = np.flatnonzero(np.diff(numbers) != 1) + 1
    yield from ((a, b) for a, b in pairwise([0, *edges.tolist(), len(numbers)]) if a < b)
