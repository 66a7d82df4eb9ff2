"""From noisy risk weights to the few sites that carry them: post-processing, free of privacy cost.

After R rounds near the zero model, the accumulated weights are noisy *marginal* associations: a causal
site drags every site in linkage disequilibrium (LD) with it. The panel knows the LD, so the joint sparse
weights follow from the marginals and public data alone, as polygenic scores are fitted from GWAS summary
statistics (lassosum: Mak et al. 2017, eq. 2):

    minimise over v:   v' ((1 - s) R + s I) v / 2  -  b' v  +  lambda |v|_1

with b the marginals, R the panel correlation of the projected features, s the weight of the identity
(the panel is small), and lambda a fixed multiple of the noise of b, which is public: that of the
mechanism plus that of sampling people. Only sites whose own marginal exceeds lambda take part (screening, Fan, Lv
2008): at a site that the institutions lack the marginal is noise around 0, and the panel's LD would read that as an
effect against its neighbours'.

Where so many sites speak that the strongest of those which must be left out is beyond the noise, this is no estimate:
linked sites divide an effect, all are cut by what is left out, and both cost more than the noise. Then, as happens
from some ten thousand people on, sites are taken one by one, and the weights of all are fitted anew (`pursued`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Weight of the identity in the panel's LD matrix, and penalty in standard deviations of a marginal.
#: Chosen on phenotype seeds 1000 and above.
LD_SHRINKAGE, PENALTY_SIGMAS = 0.5, 2.25
#: Weight of the identity where sites are pursued. Chosen likewise.
PURSUED_SHRINKAGE = 0.1
#: Strongest marginals that enter the joint fit; bounds time and memory whatever the number of sites.
_SCREENED = 2048
_SWEEPS, _TOLERANCE = 60, 1e-5
#: Sites closer than this may tag one causal site, as far as one can tell without LD. Chosen on the same seeds.
CLUMP_BASES = 1_000_000


def soft_threshold(weights: NDArray[np.float64], kept: int) -> NDArray[np.float64]:
    """Shrink all weights by the (kept + 1)-th largest magnitude; at most `kept` stay non-zero, [sites]."""
    if kept >= len(weights):
        return weights.copy()
    return np.sign(weights) * np.maximum(np.abs(weights) - _strongest_left(weights, kept), 0.0)


def _strongest_left(weights: NDArray[np.float64], kept: int) -> float:
    """The (kept + 1)-th largest magnitude; 0 where there are not so many."""
    return float(np.partition(np.abs(weights), -kept - 1)[-kept - 1]) if kept < len(weights) else 0.0


def joint_lasso(marginal: NDArray[np.float64], correlation: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """Coordinate descent for `v' A v / 2 - b' v + penalty * |v|_1`.

    Args:
        marginal: b, [sites].
        correlation: A, symmetric with a positive diagonal, [sites, sites].
        penalty: lambda, at least 0.

    Returns:
        v, [sites].
    """
    weights = np.zeros(len(marginal))
    residual = marginal.copy()  # b - A v, kept current by one row of A per change
    sites = np.arange(len(marginal))
    for sweep in range(_SWEEPS):
        # Most sweeps visit only what is non-zero; every fifth looks at all sites again.
        full = sweep % 5 == 0
        largest = 0.0
        for site in sites if full else np.flatnonzero(weights):
            own = correlation[site, site]
            target = residual[site] + own * weights[site]
            new = np.sign(target) * max(abs(target) - penalty, 0.0) / own
            change = new - weights[site]
            if change != 0.0:
                residual -= correlation[site] * change
                weights[site] = new
                largest = max(largest, abs(change))
        if full and largest < _TOLERANCE:
            break
    return weights


def clumped(marginal: NDArray[np.float64], chrom: Sequence[str], pos: NDArray[np.int64]) -> NDArray[np.float64]:
    """Marginals of the sites that lead their neighbourhood, 0 elsewhere, [sites].

    What is left of LD where the panel was drawn from frequencies: from the strongest marginal down, a site leads
    unless a leading one lies within CLUMP_BASES of it. Clumping (Purcell et al. 2007, PLINK) by distance alone.

    Args:
        marginal: [sites].
        chrom: Contig of each site.
        pos: Position of each site; sites are in genome order.
    """
    number = {contig: index for index, contig in enumerate(dict.fromkeys(chrom))}
    place = np.array([number[contig] for contig in chrom], dtype=np.int64) * 2**40 + pos
    first = np.searchsorted(place, place - CLUMP_BASES)
    last = np.searchsorted(place, place + CLUMP_BASES, side="right")
    leads, free = np.zeros_like(marginal), np.ones(len(marginal), dtype=bool)
    for site in np.argsort(-np.abs(marginal), kind="stable"):
        if free[site]:
            leads[site] = marginal[site]
            free[first[site] : last[site]] = False
    return leads


def pursued(
    marginal: NDArray[np.float64],
    noise: NDArray[np.float64],
    correlation: NDArray[np.float64],
    kept: int,
    panel: int,
) -> NDArray[np.float64]:
    """Forward selection from marginals: the site with the strongest rest joins, and all weights are fitted anew.

    Conditional and joint analysis of summary statistics (Yang et al. 2012, doi:10.1038/ng.2213; as orthogonal matching
    pursuit: Pati, Rezaiifar, Krishnaprasad 1993). It ends where no rest exceeds `PENALTY_SIGMAS` of what is unsure of
    it: the noise, and the panel's correlations, whose standard deviation is at most 1 / sqrt(panel people).

    Args:
        marginal: b, [sites].
        noise: Standard deviation of each, [sites].
        correlation: A, symmetric with a positive diagonal, [sites, sites].
        kept: Most sites that are taken, at least 1.
        panel: People of whom A was computed; 0 where it is no estimate.

    Returns:
        Weights, 0 where no site was taken, [sites].
    """
    scale, taken = np.sqrt(np.diag(correlation)), list[int]()
    rest, weights = marginal.copy(), np.zeros(len(marginal))
    while len(taken) < min(kept, len(marginal)):
        drift = float(np.linalg.norm(weights)) / panel**0.5 if panel else 0.0
        strength = np.abs(rest) / (scale * np.hypot(noise, drift))
        strength[taken] = 0.0
        site = int(np.argmax(strength))
        if taken and strength[site] <= PENALTY_SIGMAS:
            break
        taken.append(site)
        weights[taken] = np.linalg.solve(correlation[np.ix_(taken, taken)], marginal[taken])
        rest = np.asarray(marginal - correlation[:, taken] @ weights[taken])
    return weights


def sparse_weights(
    marginal: NDArray[np.float64],
    noise: float | NDArray[np.float64],
    panel_features: NDArray[np.float32],
    kept: int,
) -> NDArray[np.float64]:
    """Joint sparse weights from noisy marginals and the panel's LD.

    Where the noise differs from site to site, so does the penalty, in proportion to it: with v = u / n and n in units
    of the least noise, `v'Av / 2 - b'v + lambda sum n|v|` is the same problem in u with A / (n n') and b / n.

    Args:
        marginal: Marginal weights in Newton steps, [sites].
        noise: Standard deviation of one marginal, in the same unit (`marginal_noise`), of all or of each, [sites].
        panel_features: Panel-projected features of the panel people, [people, sites].
        kept: Most sites that stay non-zero.

    Returns:
        [sites], rounded to a millionth of the largest, so that machines whose linear algebra differs in the
        last bits agree.
    """
    least = float(np.min(noise))
    relative = np.broadcast_to(noise / least, marginal.shape)
    marginal, penalty = marginal / relative, PENALTY_SIGMAS * least  # b / n
    strongest = np.sort(np.argsort(-np.abs(marginal), kind="stable")[:_SCREENED])
    speaking = np.abs(marginal[strongest]) > penalty
    if not speaking.any():  # the strongest marginals are still the best guess there is
        speaking[:] = True
    used = strongest[speaking]
    marginal, relative = marginal[used], relative[used]
    features = panel_features[:, strongest].astype(np.float64)
    unit_variance = float(np.mean(np.square(features).sum(axis=0)))
    features = features[:, speaking]
    linked = features.T @ features
    correlation = _shrunk(linked, LD_SHRINKAGE, unit_variance)
    correlation /= np.outer(relative, relative)
    joint = joint_lasso(marginal, correlation, penalty)
    if not joint.any():
        joint = marginal
    joint = joint / relative
    if _strongest_left(joint, kept) > penalty:
        correlation = _shrunk(linked, PURSUED_SHRINKAGE, unit_variance)
        joint = pursued(marginal * relative, least * relative, correlation, kept, len(features))
    joint = soft_threshold(joint, kept)
    unit = float(np.abs(joint).max()) * 1e-6
    weights = np.zeros(panel_features.shape[1])
    weights[used] = np.round(joint / unit) * unit if unit > 0 else 0.0
    return weights


def _shrunk(linked: NDArray[np.float64], share: float, unit_variance: float) -> NDArray[np.float64]:
    """The panel's LD and `share` of the identity, [sites, sites]."""
    correlation = linked * ((1.0 - share) / max(unit_variance, 1e-300))
    correlation[np.diag_indices(len(linked))] += share
    return np.asarray(correlation)


def marginal_noise(
    variance: float,
    people: int,
    sample_rate: float,
    rounds: int,
    sum_std: float,
    curvature: float = 0.25,
    residual: float = 0.25,
    share: NDArray[np.float64] | float = 1.0,
) -> NDArray[np.float64] | float:
    """Standard deviation of one accumulated marginal, in Newton steps, from public numbers alone.

    Args:
        variance: Mean panel variance of a feature.
        people: Enrolled people.
        sample_rate: Poisson rate of a round.
        rounds: Rounds played.
        sum_std: Noise in the sum of all nodes' updates per round.
        curvature: Second derivative of a person's loss at the zero model.
        residual: Mean square of its first derivative there, clipped as gradients are.
        share: How much the rounds have measured, of what they would of all sites alike; of all or of each, [sites].
    """
    mechanism = (sum_std / sample_rate) ** 2 / rounds / share
    # One residual per person; a rate below 1 adds the variance of who was drawn.
    sampling = people * variance * residual * (1.0 + (1.0 - sample_rate) / (sample_rate * rounds))
    found: NDArray[np.float64] | float = 1.0 / curvature / (variance * people) * np.sqrt(mechanism + sampling)
    return found
