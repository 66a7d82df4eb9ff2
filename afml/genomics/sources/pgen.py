"""PLINK 2 binary genotypes: cohort.pgen with cohort.pvar and cohort.psam, read by PLINK's own pgenlib.

pgenlib is C++ and trusts what it reads: a damaged file may end the process. Such a source is read in a child.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pgenlib
from numpy.typing import NDArray

from afml.core.children import ChildDied, died_reading, from_child, in_child
from afml.core.errors import InputError
from afml.genomics.sources.arrays import ArrayPart, ArrayRecord, ArraySource
from afml.genomics.sources.plink import beside, read_people, read_pvar
from afml.genomics.sources.record import MISSING, Record, Span

_CURE = "write it again with plink2 --make-pgen"
_MISSING = -9  # an allele, or a dosage


class PgenFile(ArraySource):
    """A PLINK 2 file.

    Args:
        path: The .pgen; its .pvar and .psam stand beside it.
        keep: Samples to give, in this order; None for all.

    Raises:
        InputError: A table is missing or malformed, or the file is not of as many sites and people as the tables.
    """

    fragile = True

    def __init__(self, path: Path, *, keep: Sequence[str] | None = None) -> None:
        super().__init__(path, read_people(beside(path, ".psam"), "PLINK 2 people (.psam)"), keep)
        self._sites = read_pvar(beside(path, ".pvar"))
        self.lines = self._sites.lines

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled -> length, where the .pvar states it."""
        return {**dict.fromkeys(self._sites.names.spellings), **self._sites.lengths}

    def records(self, spans: Sequence[Span] | None = None, part: ArrayPart | None = None) -> Iterator[Record]:
        """Records in file order, read in a child unless this process is one; see `CallSource.records`."""
        if in_child():
            yield from super().records(spans, part)
            return
        last: Record | None = None
        try:
            for last in from_child(partial(super().records, spans, part)):
                yield last
        except ChildDied as how:
            raise died_reading(
                self.path, how, f"after {last.place}" if last is not None else "at its beginning"
            ) from None

    def _touching(self, spans: Sequence[Span] | None) -> NDArray[np.int64]:
        return self._sites.touching(spans)

    def _read(self, sites: NDArray[np.int64]) -> Iterator[Record]:
        known = self._sites
        alleles = np.empty(2 * self._people, dtype=np.int32)
        dosages = np.empty(self._people, dtype=np.float32)
        try:
            with self._opened() as reader:
                for site in sites.tolist():
                    reader.read_alleles(site, alleles)
                    calls = np.where(alleles == _MISSING, MISSING, alleles).astype(np.int8).reshape(-1, 2)
                    reader.read_dosages(site, dosages)
                    of_alt = np.where(dosages == _MISSING, np.nan, dosages).astype(np.float32)[:, None]
                    if self._kept is not None:
                        calls, of_alt = calls[self._kept], of_alt[self._kept]
                    place = known.chrom[site], int(known.pos[site]), known.alleles[site], known.filters[site]
                    yield ArrayRecord(place, calls, self.path).holding({"DS": of_alt} if len(place[2]) == 2 else {})
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise InputError(f"PLINK 2 file cannot be read ({error})", where=self.path, cure=_CURE) from None

    def _opened(self) -> pgenlib.PgenReader:
        counts = np.asarray([len(alleles) for alleles in self._sites.alleles], dtype=np.uintp)
        counts = np.maximum(counts, 2)
        offsets = None
        if len(counts) and int(counts.max()) > 2:
            offsets = np.concatenate([np.zeros(1, dtype=np.uintp), np.cumsum(counts, dtype=np.uintp)])
        return pgenlib.PgenReader(
            bytes(self.path), raw_sample_ct=self._people, variant_ct=len(self._sites.chrom), allele_idx_offsets=offsets
        )
