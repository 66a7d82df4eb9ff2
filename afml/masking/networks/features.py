"""What the panel says about scale: centring, standardising, and the ancestry directions to project out.

Everything here is computed from the public panel alone, so it costs no privacy and every party
arrives at the same statistics. A missing call becomes the panel mean, and in features what is to be expected of the
person's ancestry, never a reference genotype.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError

#: Median length of a panel person's feature vector. With a residual of one half at a zero model a
#: person's gradient then has length 1, so a clip norm of 1 fits any number of sites.
MEDIAN_FEATURE_NORM = 2.0
#: Genotypes whose float64 copies are held at once while means and variances are computed.
_BLOCK_GENOTYPES = 30_000_000


@dataclass(frozen=True)
class PanelStatistics:
    """Scaling and ancestry directions of the agreed sites, from panel dosages.

    Attributes:
        mean: Mean panel-minor dosage per site, [sites].
        scale: Standard deviation of the dosage, never below that of one panel allele, [sites].
        components: Orthonormal ancestry directions in site space, [components, sites].
        norm_factor: Factor that brings the median panel person's feature vector to MEDIAN_FEATURE_NORM.
        variance: Mean panel variance of one coordinate of `features` (public curvature of the risk model).
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    components: NDArray[np.float32]
    norm_factor: float
    variance: float

    @classmethod
    def from_panel(cls, dosage: NDArray[np.int8], components: int) -> PanelStatistics:
        """Compute the statistics.

        Args:
            dosage: Panel dosages in {0, 1, 2, -1}, [people, sites].
            components: Top principal components of the panel to project out.

        Raises:
            InputError: Fewer than two panel people, or no site.
        """
        if dosage.ndim != 2 or dosage.shape[0] < 2 or dosage.shape[1] < 1:
            raise InputError(
                f"the panel is {dosage.shape}: at least 2 people and 1 site are needed",
                cure="use a larger panel",
            )
        people = dosage.shape[0]
        blocks = range(0, dosage.shape[1], max(1, _BLOCK_GENOTYPES // people))
        moments = [_moments(dosage[:, start : start + blocks.step]) for start in blocks]
        mean, variance = (np.concatenate(part) for part in zip(*moments, strict=True))
        one_allele = 1.0 / (2.0 * people)
        scale = np.sqrt(np.maximum(variance, 2.0 * one_allele * (1.0 - one_allele)))
        standard = _standardise(dosage, mean, scale)  # [people, sites]
        kept = min(components, people - 1, dosage.shape[1] - 1)
        directions = np.zeros((0, dosage.shape[1]), np.float32)
        if kept > 0:
            # Eigenvectors of the people x people Gram matrix: few people, maybe many sites.
            _, vectors = np.linalg.eigh((standard @ standard.T).astype(np.float64))
            directions, _ = np.linalg.qr((vectors[:, -kept:].T @ standard).astype(np.float64).T)
            directions = np.ascontiguousarray(directions.T.astype(np.float32))
        standard -= (standard @ directions.T) @ directions
        standard[dosage < 0] = 0.0  # as in `features`
        median = float(np.median(np.linalg.norm(standard, axis=1)))
        factor = MEDIAN_FEATURE_NORM / median if median > 0 else 1.0
        variance_of_features = float(np.mean(np.square(standard, out=standard))) * factor**2
        return cls(mean, scale, directions, factor, variance_of_features)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.mean)

    def standardise(self, dosage: NDArray[np.int8]) -> NDArray[np.float32]:
        """Centre and scale by the panel; a missing call becomes 0, the panel mean. [people, sites]"""
        return _standardise(dosage, self.mean, self.scale)

    def features(self, dosage: NDArray[np.int8]) -> NDArray[np.float32]:
        """Standardised dosages without the ancestry directions, scaled to a public length; a missing call becomes 0.

        It is 0 after the directions are taken out, which is the genotype to be expected of the person's ancestry. Were
        it the panel's mean before, what is left would be the ancestry itself: a site that no institution has would then
        be associated with every trait that goes with ancestry, and take the weight of those that have calls.
        [people, sites]
        """
        standard = self.standardise(dosage)
        standard -= (standard @ self.components.T) @ self.components
        standard *= np.float32(self.norm_factor)
        standard[dosage < 0] = 0.0
        return standard


def _moments(dosage: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the called dosages of each site, [sites] both."""
    called = dosage >= 0
    count = np.maximum(called.sum(axis=0), 1)
    mean = np.where(called, dosage, 0).sum(axis=0) / count
    return mean, np.where(called, (dosage - mean) ** 2, 0.0).sum(axis=0) / count


def _standardise(
    dosage: NDArray[np.int8], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    values = dosage.astype(np.float32)
    values -= mean.astype(np.float32)
    values *= (1.0 / scale).astype(np.float32)
    values[dosage < 0] = 0.0
    return values
