"""What a codebook could tell that need not be made of genotypes: the limit that many traits' patterns are held against.

The DP scores themselves, in as many cells as a release has patterns, by Lloyd's iteration (1982) with nothing to obey:
no cell needs a genotype that its people carry, nor a least number of people in each file. Cells are learnt from the
very people who are then asked, which errs to the rival's side. It is no release, and nobody attacks it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from afml.evaluation.attacks.base import Float64
from afml.evaluation.utility.outcome import Outcome
from afml.evaluation.utility.together import judged_each

STEPS = 25


def freely_quantised(scores: Float64, cells: int, seed: int = 0) -> Float64:
    """Scores in `cells` cells, each at its mean.

    Args:
        scores: float64[n, D], of which each counts by its spread.
        cells: At most; fewer where there are not so many different scores.
        seed: Of the first centroids (k-means++, Arthur and Vassilvitskii 2007).

    Returns:
        float64[n, D].
    """
    spread = scores.std(axis=0)
    points = (scores - scores.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    count = min(cells, len(np.unique(points, axis=0)))
    with threadpool_limits(1):
        found = KMeans(count, n_init=1, max_iter=STEPS, random_state=seed).fit(points)
    return np.asarray(found.cluster_centers_[found.labels_] * spread + scores.mean(axis=0))


def reached_freely(scores: Float64, outcomes: Sequence[Outcome], cells: int) -> list[float]:
    """Held-out AUC or R^2 of every outcome by the fixed pipeline on freely quantised scores.

    Args:
        scores: float64[n, D], DP scores of the people of the outcomes.
        outcomes: With the same split and covariates.
        cells: As many as the release has patterns.
    """
    told = freely_quantised(scores, cells)
    return [one.reached for one in judged_each(told, outcomes, released=False)]
