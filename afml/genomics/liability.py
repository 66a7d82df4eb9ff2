"""Simulated traits: liabilities that some sites and, where wanted, covariates cause in part (Falconer 1965)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError

#: How far apart the seeds of traits that are simulated together lie.
SEED_STEP = 500
#: Share of a liability's variance that is due to covariates, where there are any.
COVARIATE_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the dosages at each site over the people who are called there.

    Attributes:
        mean, deviation: float64 [sites].
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.int8]]) -> Moments:
        """Count people block by block, each int8 [people, sites] in {0, 1, 2, -1}: sums of whole numbers are exact."""
        counts = np.zeros((3, 0))
        for block in blocks:
            here = np.stack([(block >= 0).sum(axis=0), (block == 1).sum(axis=0), (block == 2).sum(axis=0)])
            counts = counts + here if counts.size else here.astype(np.float64)
        people = np.maximum(counts[0], 1)
        mean, square = (counts[1] + 2 * counts[2]) / people, (counts[1] + 4 * counts[2]) / people
        return cls(mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


class Causes:
    """What causes one trait.

    Args:
        moments: Of the sites.
        causal: Number of causal sites, drawn of those that vary.
        heritability: h2 in [0, 1], the share of the liability's variance due to these sites.
        seed: Seed of numpy's generator.

    Raises:
        ConfigError: `heritability` outside [0, 1], or more causal sites than sites that vary.

    Attributes:
        sites: Their numbers, ascending, int64 [causal].
    """

    def __init__(self, moments: Moments, *, causal: int, heritability: float, seed: int) -> None:
        if not 0.0 <= heritability <= 1.0:
            raise ConfigError(f"heritability {heritability:g} is outside [0, 1]", cure="choose a share of variance")
        varying = np.flatnonzero(moments.deviation > 1e-9)
        if not 1 <= causal <= len(varying):
            raise ConfigError(
                f"{causal} causal sites, but {len(varying)} sites vary among these people",
                cure=f"choose between 1 and {len(varying)}",
            )
        self._rng, self._heritability = np.random.default_rng(seed), heritability
        self.sites = np.sort(self._rng.choice(varying, size=causal, replace=False)).astype(np.int64)
        self._effects = self._rng.standard_normal(causal)
        self._mean, self._deviation = moments.mean[self.sites], moments.deviation[self.sites]

    def liability(self, dosage: NDArray[np.int8], covariates: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """sqrt(h2) g + sqrt(c2) c + sqrt(1 - h2 - c2) e, float64 [people]; to be asked for once.

        g is the sum of N(0, 1) effects on standardised dosages, c that of N(0, 1) effects on covariates, both scaled to
        variance 1, e ~ N(0, 1); c2 is `COVARIATE_SHARE`, or 0 without covariates.

        Args:
            dosage: At `sites`, int8 [people, causal]; missing calls take the mean of their site.
            covariates: Of mean 0, [people, covariates].

        Raises:
            ConfigError: Sites and covariates together cause more than everything.
        """
        h2, share = self._heritability, 0.0 if covariates is None else COVARIATE_SHARE
        if h2 + share > 1.0:
            raise ConfigError(
                f"heritability {h2:g} leaves no room for covariates, which cause {share:g} of the variance",
                cure=f"choose at most {1 - share:g}",
            )
        standardised = (np.where(dosage >= 0, dosage, 0) - self._mean) / self._deviation  # [people, causal]
        genetic = np.where(dosage >= 0, standardised, 0.0) @ self._effects
        genetic /= max(float(genetic.std()), 1e-12)
        noise = self._rng.standard_normal(len(dosage))
        liability = np.sqrt(h2) * genetic + np.sqrt(1.0 - h2 - share) * noise
        if covariates is not None:
            caused = covariates @ self._rng.standard_normal(covariates.shape[1])
            liability += np.sqrt(share) * caused / max(float(caused.std()), 1e-12)
        return np.asarray(liability)


def cases_of(liability: NDArray[np.float64]) -> NDArray[np.int8]:
    """1 for everybody whose liability is above the median, 0 for the others, [people]."""
    return (liability > np.median(liability)).astype(np.int8)


def simulate_phenotype(
    dosage: NDArray[np.int8], *, causal: int, heritability: float, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Cases and controls among people whose genotypes are in memory: `cases_of` their `simulate_liability`.

    Returns:
        (int8 [people] in {0, 1}, causal site numbers ascending, int64 [causal]).

    Raises:
        ConfigError: As `Causes`.
    """
    liability, chosen = simulate_liability(dosage, causal=causal, heritability=heritability, seed=seed)
    return cases_of(liability), chosen


def simulate_liability(
    dosage: NDArray[np.int8], *, causal: int, heritability: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A quantitative trait of variance about 1: the liability of `simulate_phenotype` itself.

    Args:
        dosage: int8 [people, sites].
        causal, heritability, seed: As in `Causes`.

    Returns:
        (float64 [people], causal site numbers ascending, int64 [causal]).

    Raises:
        ConfigError: As `Causes`.
    """
    causes = Causes(Moments.of([dosage]), causal=causal, heritability=heritability, seed=seed)
    return causes.liability(dosage[:, causes.sites]), causes.sites
