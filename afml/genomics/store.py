"""The genotype store: one institution's calls at the panel's sites, on disk in chunks (made by `build`).

A Zarr v3 group in the VCF Zarr conventions (Czech et al. 2025, "Analysis-ready VCF at Biobank scale
using Zarr"), so that other tools read it, and so that a store made elsewhere by vcf2zarr opens here.
Every call is biallelic: 1 is the site's ALT, 0 any other allele, -1 missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from afml.core.errors import InputError, IntegrityError
from afml.genomics.packed import PACKED, unpack
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import MISSING, count_allele
from afml.genomics.vcf_zarr import find_array, match_foreign, read_array

_BYTES_AT_ONCE = 4 << 20
_PEOPLE_PER_CHUNK, _WIDE = 512, 1 << 16  # of stores made here; sites beyond which a part of a chunk is read at a time
_CALLS_AT_ONCE = 8 << 20  # bytes of calls while dosages are read


class GenotypeStore:
    """Calls of one institution at the panel's sites, read by batches of people.

    Attributes:
        samples: Column names of the institution's VCF, in row order.
        panel: The site panel; columns of `dosage` refer to it.
        absent: Which of the panel's sites the institution's VCF lacks (missing for everybody), bool [S].
        absent_sites: How many those are.
    """

    def __init__(
        self,
        calls: Any,
        samples: list[str],
        panel: SitePanel,
        records: NDArray[np.int64],
        alleles: NDArray[np.int64],
    ) -> None:
        self._calls, self._records, self._alleles = calls, records, alleles
        self._packed: Any = None
        self.samples, self.panel = samples, panel
        self.absent = records < 0
        self.absent_sites = int(self.absent.sum())

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"GenotypeStore(people={len(self)}, sites={len(self.panel)})"

    def dosage(self, people: NDArray[np.integer[Any]] | slice | None = None) -> NDArray[np.int8]:
        """Panel-minor dosage of some people, read from disk.

        Args:
            people: Row numbers (any order, repeats allowed), a slice, or None for everybody.

        Returns:
            int8 [people, S] in {0, 1, 2, -1}.
        """
        rows = np.arange(len(self))[people if people is not None else slice(None)]
        wanted, back = np.unique(rows, return_inverse=True)
        dosage = np.full((len(wanted), len(self.panel)), MISSING, dtype=np.int8)
        if not len(wanted):
            return dosage
        columns = _as_slice(wanted)
        if self._packed is not None:
            return unpack(np.asarray(self._packed.oindex[columns, slice(None)])[back], len(self.panel))
        for sites in self._blocks(len(wanted)):
            calls = self._calls.oindex[_as_slice(self._records[sites]), columns, slice(None)]  # [S', people, ploidy]
            copies = count_allele(calls, self._alleles[sites, None])
            counted = self.panel.minor_is_alt[sites, None] | (copies < 0)
            dosage[:, _as_slice(sites)] = np.where(counted, copies, 2 - copies).T
        return dosage if np.array_equal(back, np.arange(len(dosage))) else dosage[back]

    def _blocks(self, people: int) -> list[NDArray[np.int64]]:
        """Sites that are there, in blocks whose calls are read at once: whole chunks, as many as memory allows."""
        there = np.flatnonzero(self._records >= 0)
        height = int(self._calls.chunks[0])
        chunks = max(1, _CALLS_AT_ONCE // (2 * people * height))
        block = self._records[there] // (height * chunks)
        found = np.split(there, np.flatnonzero(np.diff(block)) + 1)
        return [one for one in found if len(one)]

    def copies(self, sites: slice) -> NDArray[np.int8]:
        """Copies of ALT of everybody at some sites of a store that `afml.genomics.build` made, read from disk.

        Args:
            sites: Neighbours in the site panel.

        Returns:
            int8 [sites, people] in {0, 1, 2, -1}.
        """
        return count_allele(np.asarray(self._calls[sites]), 1)

    @classmethod
    def open(cls, path: Path, panel: SitePanel | None = None) -> GenotypeStore:
        """Open a store made by `build_store`, or (with a panel) any VCF Zarr store.

        Args:
            path: The store's folder.
            panel: The site panel: needed for a store made elsewhere, compared with the store's own otherwise.

        Raises:
            InputError: No store there, no panel for a foreign store, or another panel than the store's.
            IntegrityError: The panel inside the store does not match its digest.
        """
        try:
            group = zarr.open_group(str(path), mode="r")
        except (FileNotFoundError, ValueError, OSError):
            raise InputError("is not a genotype store", where=path, cure="make one with 'afml prepare'") from None
        samples = [str(name) for name in read_array(group, "sample_id", path)]
        calls = find_array(group, "call_genotype", path)
        digest = group.attrs.get("afml_site_panel")
        if digest is None:
            if panel is None:
                raise InputError(
                    "store was made elsewhere and names no site panel",
                    where=path,
                    cure="give the site panel too",
                )
            return cls(calls, samples, panel, *match_foreign(group, panel, path))
        own = _stored_panel(group, path)
        if own.digest() != digest:
            raise IntegrityError("store was changed after it was made", where=path, cure="make it again")
        if panel is not None and panel.digest() != digest:
            raise InputError("store was made for another site panel", where=path, cure="make it again for this one")
        absent = read_array(group, "variant_absent", path).astype(bool)
        records = np.where(absent, -1, np.arange(len(own)))
        store = cls(calls, samples, own, records, np.ones(len(own), dtype=np.int64))
        store._packed = group.get(PACKED)
        return store


def people_at_once(store: GenotypeStore) -> Iterator[slice]:
    """Rows of a store, some people at a time: few enough that their calls fit memory, whatever the number of sites."""
    sites = max(1, len(store.panel))
    step = max(_PEOPLE_PER_CHUNK if sites <= _WIDE else 64, _BYTES_AT_ONCE // sites)
    step -= step % _PEOPLE_PER_CHUNK if step > _PEOPLE_PER_CHUNK else 0
    for start in range(0, len(store), step):
        yield slice(start, min(start + step, len(store)))


def _stored_panel(group: zarr.Group, path: Path) -> SitePanel:
    contigs = [str(name) for name in read_array(group, "contig_id", path)]
    alleles = read_array(group, "variant_allele", path)
    return SitePanel(
        chrom=[contigs[number] for number in read_array(group, "variant_contig", path)],
        pos=read_array(group, "variant_position", path).astype(np.int64),
        ref=[str(ref) for ref in alleles[:, 0]],
        alt=[str(alt) for alt in alleles[:, 1]],
        minor_is_alt=read_array(group, "variant_minor_is_alt", path).astype(np.bool_),
        maf=read_array(group, "variant_panel_maf", path).astype(np.float64),
        annotations=read_array(group, "variant_annotation", path).astype(np.float32),
        drawn_people=int(str(group.attrs.get("afml_drawn_people", 0))),
    )


def _as_slice(records: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Contiguous records as a slice, which Zarr reads without an index of each."""
    first, last = int(records[0]), int(records[-1]) + 1
    return slice(first, last) if last - first == len(records) and bool((np.diff(records) == 1).all()) else records
