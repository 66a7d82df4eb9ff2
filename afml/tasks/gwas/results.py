"""From noised sums to an effect, a standard error and a p-value of every site: post-processing, with public data alone.

The score of site j is U_j = sum of c_i w_i g_ij over people: c the residual over its bound tau, cut to [-1, 1], g the
genotype about the panel's mean in its standard deviations, without ancestry, w what makes a person's genotypes at most
1 long in the basis of the release. Without an effect its mean is 0 and its variance

    N mean(c^2) E[w^2 g^2]   of sampling people   +   std^2 (R^(1/2))_jj   of the release's noise.

An effect of b per standard deviation moves its mean by b N E[w g^2] kappa / tau, kappa being the share of people whose
residual is not cut. mean(c^2) and kappa are released with noise; the expectations over genotypes are the panel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.genomics.sites import SitePanel
from afml.tasks.gwas.facts import PublicFacts
from afml.tasks.gwas.pvalues import neg_log10_p
from afml.tasks.gwas.regression import Fit
from afml.tasks.gwas.settings import GwasSettings
from afml.tasks.release.blocks import Estimate

Float64 = NDArray[np.float64]
SITES, RESIDUALS = "sites", "residuals"
#: Median of a chi-squared variable of one degree of freedom, for the inflation factor (Devlin, Roeder 1999).
_MEDIAN_CHI2 = 0.4549364


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan found.

    Attributes:
        sites: The agreed sites.
        settings: Of the scan.
        run: Its name.
        people: Declared enrolment.
        score: U over its standard error, standard normal where a site has no effect, [sites].
        beta: Effect of one copy of the panel-minor allele, in the trait's own unit; of a binary trait on the
            probability of being a case, [sites].
        error: Its standard error, noise included, [sites].
        noise_share: Part of the variance of each score that the release's noise is, [sites].
        genotypes: The panel's people, for linkage, [panel people, sites].
        about: Facts for a reader: PLE, noise, coefficients; JSON values.
    """

    sites: SitePanel
    settings: GwasSettings
    run: str
    people: int
    score: Float64
    beta: Float64
    error: Float64
    noise_share: Float64
    genotypes: Float64
    about: Mapping[str, object]

    @property
    def neg_log10_p(self) -> Float64:
        """-log10 of the two-sided p-value, [sites]."""
        return neg_log10_p(self.score)

    @property
    def inflation(self) -> float:
        """Median of the squared scores over what it is without any effect."""
        return float(np.median(np.square(self.score))) / _MEDIAN_CHI2


@dataclass(frozen=True, eq=False)
class Released:
    """The second release, and what the first one left of the trait.

    Attributes:
        settings: Of the scan.
        fit: Of the trait.
        bound: tau, on the trait's scale.
        estimates: Of the blocks `SITES` and `RESIDUALS`.
    """

    settings: GwasSettings
    fit: Fit
    bound: float
    estimates: Mapping[str, Estimate]


def scan_of(run: RunConfig, facts: PublicFacts, released: Released) -> Scan:
    """Effects, errors and scores of all sites.

    Args:
        run: The run configuration.
        facts: Of public people.
        released: The sums.
    """
    settings, sums = released.settings, released.estimates[SITES]
    square, whole = (float(value) for value in released.estimates[RESIDUALS].mean)
    square, whole = min(max(square, 0.01), 1.0), min(max(whole, 0.05), 1.0)
    moved, sampled = facts.moments
    total = facts.basis.backward(sums.deviations)
    noise = np.square(sums.std[0]) * facts.basis.variance
    variance = sums.people * square * sampled + noise
    unit = released.bound * settings.trait.spread / (sums.people * whole * moved * facts.centring.scale)
    about = {
        "budget_ple_sigma": run.budget.ple_sigma,
        "noise": run.noise,
        "noise_multipliers": [phase.noise_multiplier for phase in run.phases],
        "residual": released.fit.residual,
        "residual_bound": released.bound,
        "uncut_residuals": whole,
    }
    return Scan(
        facts.sites, settings, run.run, sums.people, total / np.sqrt(variance), total * unit, np.sqrt(variance) * unit,
        noise / variance, facts.genotypes, about,
    )  # fmt: skip
