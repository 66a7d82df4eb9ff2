"""From marginals to scores, all of it post-processing: the product's sparse weights, and dense ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.utility import score_auc
from afml.masking.settings import RiskSettings
from afml.masking.shrink import LD_SHRINKAGE, PENALTY_SIGMAS, joint_lasso, soft_threshold
from benchmarks.sharper.ground import Ground
from benchmarks.sharper.mechanism import Measured


def sparse(ground: Ground, measured: Measured, column: int) -> NDArray[np.float64]:
    """`afml.masking.shrink.sparse_weights` of few people, the panel's LD computed once for all, [sites]."""
    noise = measured.noise[:, column]
    used = np.flatnonzero(np.isfinite(noise))
    marginal, least = measured.marginal[used, column], float(noise[used].min())
    relative = noise[used] / least
    linked = ground.linkage[np.ix_(used, used)] * (1 - LD_SHRINKAGE)
    linked[np.diag_indices(len(used))] += LD_SHRINKAGE
    linked /= np.outer(relative, relative)
    joint = joint_lasso(marginal / relative, linked, PENALTY_SIGMAS * least) / relative
    if not joint.any():
        joint = marginal / relative**2
    weights = np.zeros(ground.sites)
    weights[used] = soft_threshold(joint, RiskSettings().kept_sites)
    return _scaled(ground, weights)


def dense(ground: Ground, measured: Measured, column: int) -> NDArray[np.float64]:
    """Posterior mean of normal effects, all sites alike, along the panel's principal components, [sites].

    With LD matrix V diag(l) V' and effects N(0, s^2) the marginal along component k is l_k times its effect plus noise;
    s^2 is what the variance of the marginals leaves over the noise (LDpred's infinitesimal model, Vilhjalmsson et al.
    2015). Components outside the panel's span are left out.
    """
    noise = measured.noise[:, column]
    used = np.isfinite(noise)
    values, vectors = ground.spectrum
    along = vectors[used].T @ measured.marginal[used, column]
    variance = vectors[used].T ** 2 @ noise[used] ** 2
    spread = max(float((along**2 - variance).sum() / (values**2).sum()), 1e-12)
    return _scaled(ground, vectors @ (along * values * spread / (values**2 * spread + variance)))


ESTIMATES = {"sparse": sparse, "dense": dense}


def score_of(ground: Ground, weights: NDArray[np.float64], case: NDArray[np.int8]) -> float:
    """AUC of a score on held-out people."""
    score = (ground.standard @ weights.astype(np.float32)).astype(np.float64)
    return score_auc(score, ground.outcome(case))


def _scaled(ground: Ground, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of variance 1 on the panel."""
    spread = float((ground.panel_standard @ weights).std())
    return weights / spread if spread > 0 else weights
