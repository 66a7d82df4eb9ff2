"""Public bins of measured features, and how they stand in a panel.

A measured number is nearly unique: a released column of them names its people as surely as genomes do. So nothing but
the bin of a number is ever kept, and the bins come from public people alone: of each feature the *usual* one, two above
it and two below, at distances in spreads from the public centre. Two columns of a panel stand for a feature, one that
counts how far above the usual a person is (0, 1, 2) and one for below; in both 0 is what most people have, as the
panel-major genotype is. The digest of such a panel covers names and edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.sites import ANNOTATIONS, SitePanel

USUAL = "usual"
#: A column of the panel by its number within the feature: above the usual bin, below it.
ABOVE, BELOW = 1, 2
_SIGN = {ABOVE: ">", BELOW: "<"}
MISSING = -1


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of some features.

    Attributes:
        features: Names, F of them.
        edges: Ascending, in the unit of the matrix: far below, below, above, far above begin beyond them; [F, 4].
    """

    features: tuple[str, ...]
    edges: NDArray[np.float64]

    @classmethod
    def around(
        cls, features: Sequence[str], values: NDArray[np.float64], distances: tuple[float, float], *, log: bool
    ) -> Self:
        """Bins about the centre of public people.

        Args:
            features: Names.
            values: Of public people, [people, F]; NaN where one is missing.
            distances: Of the edges from the mean, in standard deviations, ascending.
            log: Whether both are taken of log(1 + value), as counts want it.

        Raises:
            InputError: A feature does not vary among these people.
        """
        scaled = np.log1p(values) if log else values
        centre, spread = np.nanmean(scaled, axis=0), np.nanstd(scaled, axis=0)
        flat = np.flatnonzero(~(spread > 0))
        if len(flat):
            raise InputError(
                f"{len(flat)} features do not vary among the public people (first: {features[flat[0]]})",
                where="--panel-matrix",
                cure="leave them out, or keep fewer (--most-varying)",
            )
        near, far = distances
        edges = np.stack([centre + spread * at for at in (-far, -near, near, far)], axis=1)
        return cls(tuple(features), np.expm1(edges) if log else edges)

    def coded(self, values: NDArray[np.float64]) -> NDArray[np.int8]:
        """The columns of the panel for some people.

        Args:
            values: [people, F]; NaN where one is missing.

        Returns:
            int8 [people, 2F] in {0, 1, 2, -1}: above and below, feature by feature.
        """
        known = ~np.isnan(values)
        above = (values > self.edges[:, 2]).astype(np.int8) + (values > self.edges[:, 3])
        below = (values < self.edges[:, 1]).astype(np.int8) + (values < self.edges[:, 0])
        pair = np.stack([above, below], axis=2)
        pair[~known] = MISSING
        return pair.reshape(len(values), -1).astype(np.int8)

    def panel(self, public: NDArray[np.int8]) -> SitePanel:
        """The panel of these bins.

        Args:
            public: Public people, coded, [people, 2F].
        """
        count = len(self.features)
        called = np.maximum((public >= 0).sum(axis=0), 1)
        frequency = np.maximum(public, 0).sum(axis=0) / (2.0 * called)
        names = [name for name in self.features for _ in (ABOVE, BELOW)]
        annotations = np.zeros((2 * count, len(ANNOTATIONS)), np.float32)
        annotations[:, ANNOTATIONS.index("maf")] = np.minimum(2 * frequency, 1.0)
        return SitePanel(
            chrom=names,
            pos=np.tile(np.array([ABOVE, BELOW], dtype=np.int64), count),
            ref=[USUAL] * (2 * count),
            alt=[text for row in self.edges for text in (_text(ABOVE, row[2], row[3]), _text(BELOW, row[1], row[0]))],
            minor_is_alt=np.ones(2 * count, np.bool_),
            maf=np.minimum(frequency, 0.5),
            annotations=annotations,
        )

    @classmethod
    def of(cls, panel: SitePanel) -> Self:
        """The bins that a panel holds; the inverse of `panel`.

        Raises:
            InputError: It is of genotypes.
        """
        if set(panel.ref) != {USUAL} or panel.pos.tolist() != [ABOVE, BELOW] * (len(panel) // 2):
            raise InputError("holds no bins of features", where="site panel", cure="use that of a matrix")
        pairs = [[float(edge) for edge in text[1:].split(",")] for text in panel.alt]
        edges = [[below[1], below[0], above[0], above[1]] for above, below in zip(pairs[::2], pairs[1::2], strict=True)]
        return cls(tuple(panel.chrom[::2]), np.asarray(edges, dtype=np.float64))


def shown_bins(released: NDArray[np.int8]) -> NDArray[np.float32]:
    """Bins that released records show, -2 (far below) to 2 (far above); NaN where they show nothing.

    Args:
        released: Released columns of a panel, int8 [records, 2F].

    Returns:
        float32 [records, F].
    """
    above, below = released[:, ::2], released[:, 1::2]
    shown = np.where(above > 0, above, np.where(below > 0, -below, 0)).astype(np.float32)
    shown[(above < 1) & (below < 1) & ((above < 0) | (below < 0))] = np.nan
    return shown


def _text(side: int, near: float, far: float) -> str:
    return f"{_SIGN[side]}{float(near)!r},{float(far)!r}"
