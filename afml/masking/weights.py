"""The risk weights of a run: from accumulated noisy updates to sparse weights with scores of variance 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Phase, RunConfig
from afml.core.errors import ConfigError
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.risk import CURVATURE, RESIDUAL
from afml.masking.risk import Kind
from afml.masking.settings import RISK, RiskSettings
from afml.masking.shrink import clumped, marginal_noise, sparse_weights
from afml.privacy.noise import node_std


def fit_weights(
    config: RunConfig,
    risk: RiskSettings,
    statistics: PanelStatistics,
    panel_dosage: NDArray[np.int8],
    accumulated: NDArray[np.float64],
    places: tuple[Sequence[str], NDArray[np.int64]] | None = None,
) -> NDArray[np.float64]:
    """Sparse weights on standardised dosages, from public data and DP results only.

    Args:
        config: The run; its risk phases say how far the weights travelled and with how much noise.
        risk: Traits, and sites that are kept.
        statistics: Panel statistics.
        panel_dosage: [panel people, sites].
        accumulated: Weights after the risk rounds, [phenotypes, sites].
        places: Contigs and positions of the sites, where the panel cannot tell which of them are linked.

    Returns:
        [phenotypes, sites]; every phenotype's score has variance 1 on the panel.
    """
    found = np.zeros_like(accumulated)
    phases = [phase for phase in config.phases if phase.name == RISK]
    if not phases or not accumulated.any():
        return found
    # A person's gradient has a part of length 1 per phenotype; what is left of it when all are clipped as one.
    kept = [min(1.0, phase.clip_norm / len(accumulated) ** 0.5) for phase in phases]
    # Each phase's share of the weights is its average over rounds; noises add in squares.
    travel = np.array([p.learning_rate * p.rounds * part for p, part in zip(phases, kept, strict=True)])
    features = statistics.features(panel_dosage)
    standard = statistics.standardise(panel_dosage)
    # Sites drawn independently correlate by chance alone: then no row of the panel speaks of LD.
    linkage = features if places is None else features[:0]
    for weights, marginal, trait in zip(found, accumulated / travel.sum(), risk.declared, strict=True):
        noises = _noises(config, statistics, phases, kept, trait.kind)
        noise = float(np.sqrt(np.sum((travel / travel.sum() * noises) ** 2)))
        alone = marginal if places is None else clumped(marginal, *places)
        weights[:] = sparse_weights(alone, noise, linkage, risk.kept_sites)
        used = np.flatnonzero(weights)
        spread = float((standard[:, used].astype(np.float64) @ weights[used]).std()) if len(used) else 0.0
        weights /= spread if spread > 0 else 1.0
    return found


def _noises(
    config: RunConfig, statistics: PanelStatistics, phases: list[Phase], kept: list[float], kind: Kind
) -> NDArray[np.float64]:
    """Standard deviation of a marginal of one trait after each phase, in Newton steps, [phases]."""
    return np.array(
        [
            marginal_noise(
                statistics.variance,
                sum(config.enrolled.values()),
                phase.sample_rate,
                phase.rounds,
                node_std(config, phase) * len(config.enrolled) ** 0.5 / part,
                CURVATURE[kind],
                RESIDUAL[kind],
            )
            for phase, part in zip(phases, kept, strict=True)
        ]
    )


def component_weights(
    statistics: PanelStatistics, panel_dosage: NDArray[np.int8], components: int
) -> NDArray[np.float64]:
    """Loadings of the panel's top principal components on standardised dosages, the strongest first.

    Of all sets of so many linear scores these reconstruct the panel's records best (Eckart, Young 1936).

    Args:
        statistics: Panel statistics.
        panel_dosage: [panel people, sites].
        components: How many.

    Returns:
        [components, sites]; every score has variance 1 on the panel, and its largest loading is positive.

    Raises:
        ConfigError: The panel has not so many.
    """
    standard = statistics.standardise(panel_dosage).astype(np.float64)
    if components >= min(standard.shape):
        raise ConfigError(
            f"{len(standard)} panel people at {standard.shape[1]} sites have fewer than {components} components",
            cure="keep fewer components or use a larger panel",
        )
    _, vectors = np.linalg.eigh(standard @ standard.T)  # ascending
    loadings = vectors[:, : -components - 1 : -1].T @ standard
    loadings /= (standard @ loadings.T).std(axis=0)[:, None]
    largest = loadings[np.arange(components), np.abs(loadings).argmax(axis=1)]
    return np.asarray(loadings * np.sign(largest)[:, None])
