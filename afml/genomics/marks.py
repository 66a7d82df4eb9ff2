"""Marks of genotypes: bands of sites, so that a record is known again after 1 % of its calls came out differently.

A band is a set of sites spread over the panel, and a mark is a band with a person's calls at it. Of 64 bands many
are without an error in both of two records of a person; strangers agree in none. How many sites a band needs for that
follows from how alike people of the public panel are, linkage and ancestry included. A band in which a call is missing
makes no mark. Marks hold over the same site panel only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from afml.genomics.kinship import kinship_sites
from afml.genomics.sites import SitePanel

BANDS = 64
#: Bits of chance against two strangers who agree in a band; there are 2^39 bands of pairs among 10^5 people.
_BITS = 40.0
_FEWEST = 16  # sites; below it a single call tells too much
_PANEL = 400  # people whose pairs show how alike strangers are


def bands(
    panel: SitePanel, panel_dosage: NDArray[np.int8], among: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """The sites of every band; the same whenever they are made of the same panel.

    Args:
        panel: The agreed sites.
        panel_dosage: Dosages of the public panel, [panel people, sites].
        among: Site numbers to choose from, ascending; by default `kinship_sites`.

    Returns:
        BANDS arrays of site numbers; none where the sites are too few or too linked to tell people apart.
    """
    candidates = kinship_sites(panel) if among is None else among
    people = panel_dosage[:_PANEL]
    for width in _widths(len(candidates)):
        if _bits(people[:, candidates[_spread(len(candidates), width)]]) >= _BITS:
            return [np.sort(candidates[_drawn(panel.digest(), band, len(candidates), width)]) for band in range(BANDS)]
    return []


def genotype_marks(
    panel: SitePanel, sites: list[NDArray[np.int64]], dosage: NDArray[np.int8]
) -> Iterator[tuple[bytes, ...]]:
    """Marks of some people, one tuple each.

    Args:
        panel: The agreed sites.
        sites: `bands` of it.
        dosage: Of the people, int8 [people, sites of the panel].
    """
    name = bytes.fromhex(panel.digest())
    of_bands = [(f"band {number}".encode() + name, dosage[:, band]) for number, band in enumerate(sites)]
    complete = [np.min(calls, axis=1) >= 0 for _, calls in of_bands]
    for person in range(len(dosage)):
        yield tuple(
            hashlib.sha256(head + calls[person].tobytes()).digest()
            for (head, calls), whole in zip(of_bands, complete, strict=True)
            if whole[person]
        )


def _widths(sites: int) -> list[int]:
    """Numbers of sites to try, a tenth more each time, up to all."""
    widths = [_FEWEST]
    while widths[-1] < sites:
        widths.append(min(sites, 1 + int(widths[-1] * 1.1)))
    return widths if sites >= _FEWEST else []


def _bits(calls: NDArray[np.int8]) -> float:
    """How unlikely strangers are to agree at all of these sites, bits, as panel people [people, sites] show it.

    The share of sites at which two people agree varies as it would over so many independent sites.
    """
    alike = np.zeros((len(calls), len(calls)))
    for value in range(3):
        shown = (calls == value).astype(np.float32)
        alike += shown @ shown.T
    share = alike[np.triu_indices(len(calls), 1)] / calls.shape[1]
    mean, variance = float(share.mean()), float(share.var())
    if not 0 < mean < 1 or variance <= 0:
        return 0.0
    return float(mean * (1 - mean) / variance * -np.log2(mean))


def _spread(sites: int, width: int) -> NDArray[np.int64]:
    return np.linspace(0, sites - 1, width).astype(np.int64)


def _drawn(name: str, band: int, sites: int, width: int) -> NDArray[np.int64]:
    """One site out of each of `width` stretches, drawn by the panel's digest."""
    edges = np.linspace(0, sites, width + 1).astype(np.int64)
    text = hashlib.shake_256(f"afml band {band} of {name}".encode()).digest(4 * width)
    places = np.frombuffer(text, dtype="<u4").astype(np.int64)
    return np.asarray(edges[:-1] + places % np.maximum(1, np.diff(edges)))
