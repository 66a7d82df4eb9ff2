"""Fingerprints of genotypes: what tells a person again at another institution, over the same site panel.

Bands of sites, as those of `afml.genomics.marks`, of common sites alone: these say most about who somebody is, so a
band needs fewer of them and is more often without an error. They never leave the institution as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.overlap import BANDS
from afml.core.errors import InputError
from afml.genomics.files import GenotypeFiles
from afml.genomics.kinship import kinship_sites
from afml.genomics.marks import bands, genotype_marks
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore, people_at_once

_COMMON = 0.2  # minor-allele frequency
_MOST, _FEWEST = 2048, 256  # sites
#: Times as many sites as a band has: bands of fewer are nearly the same ones, and an error is in most of them.
_APART = 4


def telling_sites(panel: SitePanel) -> NDArray[np.int64]:
    """At most 2,048 sites of a MAF of 20 % or more, evenly spread; `kinship_sites` where these are few."""
    common = np.flatnonzero(panel.maf >= _COMMON)
    if len(common) < _FEWEST:
        return kinship_sites(panel)
    return np.asarray(common[np.linspace(0, len(common) - 1, min(_MOST, len(common))).astype(np.int64)])


def telling_bands(panel: SitePanel, panel_dosage: NDArray[np.int8], where: Path) -> list[NDArray[np.int64]]:
    """Sites of the `BANDS` bands; the same at every institution.

    Args:
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel, [panel people, sites].
        where: To blame.

    Raises:
        InputError: The sites are too few or too linked to tell people apart.
    """
    among = telling_sites(panel)
    found = bands(panel, panel_dosage, among)[:BANDS]
    if not found or len(among) < _APART * len(found[0]):
        raise InputError(
            "the agreed sites are too few or too linked to tell people apart",
            where=where,
            cure="have the consortium agree on a panel with more sites (`afml panel`), and run `afml prepare` again",
        )
    return found


def fingerprints(folder: Path, people: NDArray[np.int64]) -> Iterator[tuple[bytes, ...]]:
    """Fingerprints of some people of a prepared institution: one of each band in which no call is missing.

    Args:
        folder: That the data kind "genotypes" filled.
        people: Rows of the store, ascending.

    Raises:
        InputError: As `telling_bands`.
    """
    files = GenotypeFiles(folder)
    store = GenotypeStore.open(files.cohort_store)
    sites = telling_bands(store.panel, GenotypeStore.open(files.panel_store).dosage(), folder)
    for rows in people_at_once(store):
        here = people[np.searchsorted(people, rows.start) : np.searchsorted(people, rows.stop)]
        yield from genotype_marks(store.panel, sites, store.dosage(rows)[here - rows.start])
