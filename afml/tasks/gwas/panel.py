"""What the public panel says: how genotypes are centred, and which directions among them are ancestry.

Everything here is computed from public people and costs no privacy. Directions of nearly equal weight turn with the
last bit of a linear algebra library, so one node computes them (the public part of a run) and all load the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
#: A component further from the panel's mean than so many of its standard deviations counts as just so far.
FARTHEST_COMPONENT = 4.0
_VALUES_AT_ONCE = 1 << 24
#: Variance along a direction over that along the first, below which the panel's people do not differ along it.
LEAST_VARIANCE = 1e-6
_CLOSE = 1e-6  # what linear algebra of two machines differs by at most


@dataclass(frozen=True, eq=False)
class Centring:
    """Mean and spread of dosages on the panel.

    Attributes:
        mean: Mean dosage of the called, [sites].
        scale: Standard deviation of the dosage, never below that of one allele in the panel, [sites].
    """

    mean: Float64
    scale: Float64

    @classmethod
    def of(cls, dosage: NDArray[np.int8]) -> Centring:
        """From the panel's dosages, int8 in {0, 1, 2, -1}, [panel people, sites]."""
        people, sites = dosage.shape
        mean, variance = np.empty(sites), np.empty(sites)
        step = max(1, _VALUES_AT_ONCE // max(1, people))
        for start in range(0, sites, step):
            part = dosage[:, start : start + step]
            called = part >= 0
            count = np.maximum(called.sum(axis=0), 1)
            average = np.where(called, part, 0).sum(axis=0) / count
            mean[start : start + step] = average
            variance[start : start + step] = np.where(called, (part - average) ** 2, 0.0).sum(axis=0) / count
        one_allele = 1.0 / (2.0 * people)
        return cls(mean, np.sqrt(np.maximum(variance, 2.0 * one_allele * (1.0 - one_allele))))

    def standardised(self, dosage: NDArray[np.int8]) -> Float64:
        """Dosages about the panel's mean in its standard deviations; a missing call is 0, the mean. [people, sites]"""
        return np.where(dosage < 0, 0.0, (dosage - self.mean) / self.scale)


@dataclass(frozen=True, eq=False)
class Ancestry:
    """Directions in the space of sites along which the panel's people differ most.

    Attributes:
        directions: Orthonormal, [components, sites].
        spread: Standard deviation of the panel's people along each, [components].
    """

    directions: Float64
    spread: Float64

    @classmethod
    def none(cls, sites: int) -> Ancestry:
        """No direction at all."""
        return cls(np.zeros((0, sites)), np.zeros(0))

    @classmethod
    def of(cls, standardised: Float64, components: int) -> Ancestry:
        """The panel's principal components, from its standardised dosages, [panel people, sites].

        Raises:
            ValueError: The panel has fewer: its people, or its sites, are too few or too alike.
        """
        if components == 0:
            return cls.none(standardised.shape[1])
        values, vectors = np.linalg.eigh(standardised @ standardised.T)  # ascending; few people, maybe many sites
        found = min(int((values > LEAST_VARIANCE * values[-1]).sum()), min(standardised.shape) - 1)
        if components > found:
            raise ValueError(f"the panel's people differ along {found} directions, and {components} are asked for")
        loadings, _ = np.linalg.qr((vectors[:, : -components - 1 : -1].T @ standardised).T)
        directions = np.ascontiguousarray(loadings.T)
        return cls(directions, (standardised @ loadings).std(axis=0))

    def fits(self, standardised: Float64) -> bool:
        """Whether these are orthonormal principal components of the panel, [panel people, sites], with its spread.

        Cheap beside finding them: that they are the largest ones is not looked at.
        """
        along = standardised @ self.directions.T
        back = along.T @ standardised  # of a component its eigenvalue times itself
        values = np.square(along).sum(axis=0)
        close = _CLOSE * max(1.0, float(values.max(initial=0.0)))
        return bool(
            np.abs(self.directions @ self.directions.T - np.eye(len(self.directions))).max(initial=0.0) <= _CLOSE
            and np.abs(back - values[:, None] * self.directions).max(initial=0.0) <= close
            and np.allclose(along.std(axis=0), self.spread, rtol=_CLOSE, atol=0.0)
        )

    def scores(self, standardised: Float64) -> Float64:
        """Components of people, in the panel's standard deviations and no further than FARTHEST_COMPONENT."""
        along = standardised @ self.directions.T / self.spread
        return np.asarray(np.clip(along, -FARTHEST_COMPONENT, FARTHEST_COMPONENT))

    def removed(self, standardised: Float64, missing: NDArray[np.bool_]) -> Float64:
        """Dosages without what these directions say of them, [people, sites].

        A missing call is 0 here, what is to be expected of the person's ancestry. Where it stood at the mean, the
        ancestry itself would be left, and a site that an institution lacks would be associated with what goes with it.
        """
        if not len(self.directions):
            return standardised
        return np.where(missing, 0.0, standardised - (standardised @ self.directions.T) @ self.directions)
