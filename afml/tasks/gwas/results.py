"""From noised sums to an effect, a standard error and a p-value of every site: post-processing, with public data alone.

The score of site j is U_j = sum of c_i w_i g_ij over people: c the residual over its bound tau, cut to [-1, 1], g the
genotype about the panel's mean in its standard deviations, without ancestry, w what makes a person's genotypes at most
1 long in the basis of the release. Without an effect its mean is 0 and its variance

    N mean(c^2) E[w^2 g^2]   of sampling people   +   std^2 (R^(1/2))_jj   of the release's noise.

An effect of b per standard deviation moves its mean by b N E[w g^2] kappa / tau, kappa being the share of people whose
residual is not cut. mean(c^2) and kappa are released with noise; the expectations over genotypes are the panel's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.genomics.sites import SitePanel
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.tasks.gwas.facts import ScoredSites
from afml.tasks.gwas.pvalues import neg_log10_p
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
        config: The run that made it.
        people: Declared enrolment.
        score: U over its standard error, standard normal where a site has no effect, [sites].
        beta: Effect of one copy of the panel-minor allele, in the trait's own unit; of a binary trait on the
            probability of being a case, [sites].
        error: Its standard error, noise included, [sites].
        standard_error: `error` of an effect per standard deviation of the genotype on the panel, [sites].
        noise_share: Part of the variance of each score that the release's noise is, [sites].
        followed: bool, which sites were looked at again, [sites].
        genotypes: The panel's people, for linkage, [panel people, sites].
        about: Facts for a reader: noise and bounds; JSON values.
    """

    sites: SitePanel
    settings: GwasSettings
    config: RunConfig
    people: int
    score: Float64
    beta: Float64
    error: Float64
    standard_error: Float64
    noise_share: Float64
    followed: NDArray[np.bool_]
    genotypes: Float64
    about: Mapping[str, Any]

    @property
    def neg_log10_p(self) -> Float64:
        """-log10 of the two-sided p-value, [sites]."""
        return neg_log10_p(self.score)

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.config.run

    @cached_property
    def ple_sigma(self) -> float | None:
        """PLE of the whole run as it was planned, attempts in reserve included; None of a simulation."""
        if self.config.seed is not None:
            return None
        return ple(planned_events(self.config), self.config.budget.delta).sigma

    @property
    def bounds(self) -> tuple[float, ...]:
        """Largest residual that counts in each release, on the trait's scale."""
        return tuple(self.about["residual_bounds"])

    @property
    def inflation(self) -> float:
        """Median of the squared scores over what it is without any effect."""
        return float(np.median(np.square(self.score))) / _MEDIAN_CHI2


@dataclass(frozen=True, eq=False)
class Public:
    """Public facts of the sites.

    Attributes:
        sites: The agreed sites.
        scale: Standard deviation of the dosage on the panel, [sites].
        genotypes: The panel's people, centred and without ancestry, [panel people, sites].
    """

    sites: SitePanel
    scale: Float64
    genotypes: Float64


@dataclass(frozen=True, eq=False)
class Released:
    """One release of scores.

    Attributes:
        columns: Which sites, ascending.
        scored: These sites as the panel sees them.
        bound: tau, on the trait's scale.
        estimates: Of the blocks `SITES` and `RESIDUALS`.
    """

    columns: NDArray[np.int64]
    scored: ScoredSites
    bound: float
    estimates: Mapping[str, Estimate]


def scan_of(run: RunConfig, settings: GwasSettings, public: Public, releases: Sequence[Released]) -> Scan:
    """Effects, errors and scores of all sites; of a site in several releases the last one speaks.

    Whether a site is in the last one depends on the scores before, which share its people. Of a site without an effect,
    the chance of a p-value of at most p there is still p at most, being that of such a p-value *and* of being chosen.

    Args:
        run: The run configuration.
        settings: Of the scan.
        public: Facts of the sites.
        releases: All sites, then some of them.
    """
    count = len(public.sites)
    effect, error, share, last = np.zeros(count), np.ones(count), np.zeros(count), np.zeros(count, np.int64)
    uncut = []
    for number, one in enumerate(releases):
        effect[one.columns], error[one.columns], share[one.columns], whole = _effects(one)
        last[one.columns] = number
        uncut.append(whole)
    unit = settings.trait.spread / public.scale
    about = {
        "delta": run.budget.delta,
        "noise": run.noise,
        "noise_multipliers": [phase.noise_multiplier for phase in run.phases],
        "residual_bounds": [one.bound for one in releases],
        "uncut_residuals": uncut,
    }
    people = releases[0].estimates[SITES].people
    return Scan(
        public.sites, settings, run, people, effect / error, effect * unit, error * unit, error, share, last > 0,
        public.genotypes, about,
    )  # fmt: skip


def _effects(one: Released) -> tuple[Float64, Float64, Float64, float]:
    """(effect per standard deviation, its standard error, noise's share of its square, uncut people) of a release."""
    sums, (square, whole) = one.estimates[SITES], one.estimates[RESIDUALS].mean.tolist()
    square, whole = min(max(square, 0.01), 1.0), min(max(whole, 0.05), 1.0)
    moved, sampled = one.scored.moments
    noise = np.square(sums.std[0]) * one.scored.basis.variance
    variance = sums.people * square * sampled + noise
    unit = one.bound / (sums.people * whole * moved)
    score = one.scored.basis.backward(sums.deviations)
    return score * unit, np.sqrt(variance) * unit, noise / variance, whole
