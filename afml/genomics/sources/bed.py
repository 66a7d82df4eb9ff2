"""PLINK 1 binary genotypes: cohort.bed with cohort.bim and cohort.fam (cog-genomics.org/plink/1.9/formats#bed)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.sources.arrays import ArrayRecord, ArraySource
from afml.genomics.sources.plink import beside, read_bim, read_people
from afml.genomics.sources.record import MISSING, Record, Span

MAGIC = b"\x6c\x1b\x01"
_BY_PERSON = b"\x6c\x1b\x00"
_CURE = "write it again with plink2 --make-bed"
# The first allele of a .bim is ALT, the second REF; two bits per person, the lowest first.
_PAIRS = np.array([(1, 1), (MISSING, MISSING), (0, 1), (0, 0)], dtype=np.int8)
_BYTES = np.stack([_PAIRS[(np.arange(256) >> shift) & 3] for shift in (0, 2, 4, 6)], axis=1)  # [256, 4, 2]


class BedFile(ArraySource):
    """A PLINK 1 file.

    Args:
        path: The .bed; its .bim and .fam stand beside it.
        keep: Samples to give, in this order; None for all.

    Raises:
        InputError: A table is missing or malformed, or the file is not as long as the tables say.
    """

    def __init__(self, path: Path, *, keep: Sequence[str] | None = None) -> None:
        super().__init__(path, read_people(beside(path, ".fam"), "PLINK people (.fam)"), keep)
        self._sites = read_bim(beside(path, ".bim"))
        self._width = -(-self._people // 4)
        with path.open("rb") as handle:
            head = handle.read(len(MAGIC))
            size = handle.seek(0, 2)
        if head == _BY_PERSON:
            raise InputError("lists calls person by person", where=path, cure=_CURE)
        wanted = len(MAGIC) + len(self._sites.chrom) * self._width
        if size != wanted:
            told = f"has {size} bytes, not the {wanted} of {len(self._sites.chrom)} sites and {self._people} people"
            raise InputError(told, where=path, cure=_CURE)

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs as spelled; no length is stated."""
        return dict.fromkeys(self._sites.names.spellings)

    def _touching(self, spans: Sequence[Span] | None) -> NDArray[np.int64]:
        return self._sites.touching(spans)

    def _read(self, sites: NDArray[np.int64]) -> Iterator[Record]:
        known = self._sites
        with self.path.open("rb") as handle:
            for site in sites.tolist():
                handle.seek(len(MAGIC) + site * self._width)
                row = np.frombuffer(handle.read(self._width), dtype=np.uint8)
                calls = _BYTES[row].reshape(-1, 2)[: self._people]
                place = known.chrom[site], int(known.pos[site]), known.alleles[site], known.filters[site]
                yield ArrayRecord(place, calls if self._kept is None else calls[self._kept], self.path)
