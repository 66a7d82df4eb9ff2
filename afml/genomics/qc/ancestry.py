"""Where an institution's people lie among those of the public panel: principal components of the panel's genotypes.

The components are the panel's own; the institution's people are projected onto them and change nothing about them.
Projected people lie nearer to the centre than the panel's own do where sites are few (Dey and Lee 2019), so the
threshold of six standard deviations, that of EIGENSOFT's smartpca (Patterson et al. 2006), is a mild one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.genomics.qc.counts import autosomal
from afml.genomics.store import GenotypeStore, people_at_once

COMPONENTS = 4
#: Standard deviations of the panel's people along a component from which on somebody is far from all of them.
FAR = 6.0
_SITES, _PANEL = 2048, 1024
_COMMON = 0.05
_FEWEST_SITES, _FEWEST_PEOPLE = 50, 20


class Ancestry(NamedTuple):
    """Components of people, in standard deviations of the panel's people.

    Attributes:
        panel: [panel people, COMPONENTS].
        people: [people, COMPONENTS].
        explained: Share of the panel's variance along each component.
        sites: How many sites they are made of.
    """

    panel: NDArray[np.float64]
    people: NDArray[np.float64]
    explained: NDArray[np.float64]
    sites: int

    @property
    def far(self) -> int:
        """People who are further from the panel's mean than `FAR` along some component."""
        return int((np.abs(self.people) > FAR).any(axis=1).sum())


def ancestry(store: GenotypeStore, panel: GenotypeStore) -> Ancestry | None:
    """Components of the panel's people and of the institution's; None where a panel cannot show any.

    At most 2,048 common autosomal sites that both have, evenly spread, and 1,024 people of the panel.

    Args:
        store: The institution's people.
        panel: The public panel.
    """
    sites = _sites(store)
    if store.panel.drawn_people or len(sites) < _FEWEST_SITES or len(panel) < _FEWEST_PEOPLE:
        return None
    some = np.linspace(0, len(panel) - 1, min(_PANEL, len(panel))).astype(np.int64)
    own = panel.dosage(some)[:, sites]
    mean = _mean(own)
    scale = np.sqrt(np.maximum(mean * (1 - mean / 2), 1 / (2 * len(own))))  # binomial, as in Patterson et al. 2006

    def standardised(dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        return np.where(dosage < 0, 0.0, (dosage - mean) / scale)

    left, values, right = np.linalg.svd(standardised(own), full_matrices=False)
    spread = values[:COMPONENTS] / np.sqrt(len(own))
    if spread[-1] <= 1e-9 * spread[0]:
        return None
    directions = right[:COMPONENTS] / spread[:, None]
    people = [standardised(store.dosage(rows)[:, sites]) @ directions.T for rows in people_at_once(store)]
    return Ancestry(
        left[:, :COMPONENTS] * np.sqrt(len(own)),
        np.concatenate(people),
        values[:COMPONENTS] ** 2 / (values**2).sum(),
        len(sites),
    )


def _sites(store: GenotypeStore) -> NDArray[np.int64]:
    common = np.flatnonzero((store.panel.maf >= _COMMON) & ~store.absent & autosomal(store))
    return common[np.linspace(0, len(common) - 1, min(_SITES, len(common))).astype(np.int64)]


def _mean(dosage: NDArray[np.int8]) -> NDArray[np.float64]:
    called = dosage >= 0
    return np.asarray(np.where(called, dosage, 0).sum(axis=0) / np.maximum(called.sum(axis=0), 1))
