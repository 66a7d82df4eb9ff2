"""The risk weights of a run: from accumulated noisy updates to sparse weights with scores of variance 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from afml.core.run import RunConfig
from afml.models.features import PanelStatistics
from afml.privacy.noise import node_std
from afml.training.shrink import marginal_noise, sparse_weights


def fit_weights(
    config: RunConfig,
    statistics: PanelStatistics,
    panel_dosage: NDArray[np.int8],
    accumulated: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sparse weights on standardised dosages, from public data and DP results only.

    Args:
        config: The run; its risk phases say how far the weights travelled and with how much noise.
        statistics: Panel statistics.
        panel_dosage: [panel people, sites].
        accumulated: Weights after the risk rounds, [phenotypes, sites].

    Returns:
        [phenotypes, sites]; every phenotype's score has variance 1 on the panel.
    """
    found = np.zeros_like(accumulated)
    phases = [phase for phase in config.phases if phase.name == "risk"]
    if not phases or not accumulated.any():
        return found
    people = sum(config.enrolled.values())
    # A person's gradient has a part of length 1 per phenotype; what is left of it when all are clipped as one.
    kept = [min(1.0, phase.clip_norm / len(accumulated) ** 0.5) for phase in phases]
    # Each phase's share of the weights is its average over rounds; noises add in squares.
    travel = np.array([p.learning_rate * p.rounds * part for p, part in zip(phases, kept, strict=True)])
    noises = np.array(
        [
            marginal_noise(
                statistics.variance,
                people,
                phase.sample_rate,
                phase.rounds,
                node_std(config, phase) * len(config.enrolled) ** 0.5 / part,
            )
            for phase, part in zip(phases, kept, strict=True)
        ]
    )
    noise = float(np.sqrt(np.sum((travel / travel.sum() * noises) ** 2)))
    features = statistics.features(panel_dosage)
    standard = statistics.standardise(panel_dosage)
    for weights, marginal in zip(found, accumulated / travel.sum(), strict=True):
        weights[:] = sparse_weights(marginal, noise, features, config.risk.kept_sites)
        used = np.flatnonzero(weights)
        spread = float((standard[:, used].astype(np.float64) @ weights[used]).std()) if len(used) else 0.0
        weights /= spread if spread > 0 else 1.0
    return found
