"""What is left of a trait once the first release has explained it, bounded: one person's weight in every site's score.

The score of a site is the sum over people of (bounded residual) x (genotype). The residual is divided by its bound, so
that it is at most 1. Of a quantitative trait, pulling residuals in to a bound of t standard deviations (Huber 1964)
loses signal where sampling people is what blurs a score, and gains it where the noise of the release is: that noise is
made for the largest residual. Per score the square of signal over noise is proportional to

    (kappa(t) / t)^2 / (m(t) + nu^2),   kappa(t) = P(|Z| < t),   m(t) = E[min(|Z| / t, 1)^2],   Z ~ N(0, 1)

with nu^2 the noise of the release over what people add to the variance of a score when all their residuals are 1.
A person's expected score moves by kappa / t for each unit of the residual: what turns a score into an effect.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from afml.tasks.gwas.regression import Fit
from afml.tasks.gwas.settings import GwasSettings

Float64 = NDArray[np.float64]
#: Bounds to choose from, in standard deviations of the residual: coarse, so that all nodes choose the same.
BOUNDS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
#: A binary trait is -1/2 or 1/2 on its scale, and its residual at most 1.
HALF = 0.5
_BINARY_ROOM = 1.1


def worth(bound: float, noise: float) -> float:
    """Squared signal over noise of a score, up to a factor.

    Args:
        bound: t, in standard deviations of the residual.
        noise: nu^2.
    """
    inside = math.erf(bound / math.sqrt(2))
    # E[min(Z^2, t^2)] = P(|Z| < t) - 2 t phi(t) + t^2 P(|Z| > t)
    density = math.exp(-bound * bound / 2) / math.sqrt(2 * math.pi)
    square = (inside - 2 * bound * density + bound * bound * (1 - inside)) / (bound * bound)
    return (inside / bound) ** 2 / (square + noise)


def chosen_bound(settings: GwasSettings, noise: float) -> float:
    """Bound of a quantitative trait's residuals, in their standard deviations; see `worth`."""
    if settings.residual_bound is not None:
        return settings.residual_bound
    return max(BOUNDS, key=lambda bound: worth(bound, noise))


def bound_of(settings: GwasSettings, fit: Fit, noise: float) -> float:
    """tau: the largest residual that counts, on the trait's scale.

    Args:
        settings: Of the scan.
        fit: What explains the trait.
        noise: nu^2 of the scores' release.
    """
    if settings.trait.kind == "quantitative":
        return chosen_bound(settings, noise) * fit.residual
    # Of a case it is one minus the share of cases, of a control that share; covariates move both a little.
    return min(1.0, _BINARY_ROOM * (HALF + abs(fit.mean)))


def residuals(settings: GwasSettings, fit: Fit, explained: Float64, trait: Float64) -> Float64:
    """What the fit leaves of people's trait, on its scale, [people].

    Args:
        settings: Of the scan.
        fit: From the first release.
        explained: Covariates and components, [people, covariates + components].
        trait: [people].
    """
    coefficients = np.array(fit.coefficients)
    expected = coefficients[0] + explained @ coefficients[1:]
    if settings.trait.kind == "binary":
        expected = np.clip(expected, -HALF, HALF)  # a probability
    return np.asarray(trait - expected)
