"""The risk weights of a run: from accumulated noisy updates to sparse weights with scores of variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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

#: Steps of evidence per standard deviation: machines whose linear algebra differs in the last bits agree.
_STEPS = 1024
#: Root mean square of a person's residual at the zero model, which gradients of all kinds of traits share.
_RESIDUAL = 0.5


@dataclass(frozen=True, eq=False)
class Accumulated:
    """What the risk rounds leave of every site.

    Attributes:
        weights: Sum of their steps in Newton steps, [phenotypes, sites].
        share: How much they have measured of each, of what as many rounds of all sites would, [sites]; None: all alike.
    """

    weights: NDArray[np.float64]
    share: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the risk rounds say of every site alone: DP results and public numbers.

    Attributes:
        associations: In standard deviations of their noise, [sites] or [phenotypes, sites]; empty without risk rounds.
        noise: That standard deviation, as a correlation of site and trait, of each phenotype; the least of any site.
        people: Whom they were measured on.
        of_sites: Where it differs from site to site, that of each, shaped as `associations`; else empty.
    """

    associations: NDArray[np.float32]
    noise: tuple[float, ...]
    people: int
    of_sites: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def facts(self) -> dict[str, Any]:
        """For the card of a model; none without risk rounds."""
        return {"noise": list(self.noise), "trained_on": self.people} if self.noise else {}


def evidence(config: RunConfig, risk: RiskSettings, statistics: PanelStatistics, accumulated: Accumulated) -> Evidence:
    """How strongly each site is associated, and how much of that may be noise: mechanism and sampling together.

    Args:
        config: As in `fit_weights`.
        risk: Traits.
        statistics: Panel statistics.
        accumulated: After the risk rounds.
    """
    rounds, people = _Rounds.of(config, len(accumulated.weights)), sum(config.enrolled.values())
    if rounds is None:
        return Evidence(np.zeros(0, np.float32), (), people)
    found, units, each = [], [], []
    for marginal, trait in zip(rounds.marginals(accumulated), risk.declared, strict=True):
        noise = rounds.noise(config, statistics, trait.kind, accumulated.share)
        found.append(np.round(marginal / noise * _STEPS) / _STEPS)
        unit = noise * CURVATURE[trait.kind] * statistics.variance**0.5 / _RESIDUAL
        units.append(float(f"{np.min(unit):.6g}"))
        if accumulated.share is not None:
            each.append(np.round(unit / units[-1] * _STEPS) / _STEPS * units[-1])
    shaped = [np.array(rows[0] if len(rows) == 1 else rows, dtype=np.float32) for rows in (found, each)]
    return Evidence(shaped[0], tuple(units), people, shaped[1])


def fit_weights(
    config: RunConfig,
    risk: RiskSettings,
    statistics: PanelStatistics,
    panel_dosage: NDArray[np.int8],
    accumulated: Accumulated,
    places: tuple[Sequence[str], NDArray[np.int64]] | None = None,
) -> NDArray[np.float64]:
    """Sparse weights on standardised dosages, from public data and DP results only.

    Args:
        config: The run; its risk phases say how far the weights travelled and with how much noise.
        risk: Traits, and sites that are kept.
        statistics: Panel statistics.
        panel_dosage: [panel people, sites].
        accumulated: After the risk rounds.
        places: Contigs and positions of the sites, where the panel cannot tell which of them are linked.

    Returns:
        [phenotypes, sites]; every phenotype's score has variance 1 on the panel.
    """
    found = np.zeros_like(accumulated.weights)
    rounds = _Rounds.of(config, len(found))
    if rounds is None or not accumulated.weights.any():
        return found
    features = statistics.features(panel_dosage)
    standard = statistics.standardise(panel_dosage)
    # Sites drawn independently correlate by chance alone: then no row of the panel speaks of LD.
    linkage = features if places is None else features[:0]
    for weights, marginal, trait in zip(found, rounds.marginals(accumulated), risk.declared, strict=True):
        noise = rounds.noise(config, statistics, trait.kind, accumulated.share)
        alone = marginal if places is None else np.where(clumped(marginal / noise, *places) == 0, 0.0, marginal)
        weights[:] = sparse_weights(alone, noise, linkage, risk.kept_sites)
        used = np.flatnonzero(weights)
        spread = float((standard[:, used].astype(np.float64) @ weights[used]).std()) if len(used) else 0.0
        weights /= spread if spread > 0 else 1.0
    return found


@dataclass(frozen=True, eq=False)
class _Rounds:
    """How far the risk phases moved the weights.

    Attributes:
        phases: The risk phases.
        kept: What is left in each of a person's gradient when all traits are clipped as one, [phases].
        travel: Newton steps per unit of the mean gradient, [phases].
    """

    phases: list[Phase]
    kept: list[float]
    travel: NDArray[np.float64]

    @classmethod
    def of(cls, config: RunConfig, phenotypes: int) -> _Rounds | None:
        """Of a run; None where it has no risk rounds."""
        phases = [phase for phase in config.phases if phase.name == RISK]
        if not phases:
            return None
        # A person's gradient has a part of length 1 per phenotype.
        kept = [min(1.0, phase.clip_norm / phenotypes**0.5) for phase in phases]
        travel = np.array([p.learning_rate * p.rounds * part for p, part in zip(phases, kept, strict=True)])
        return cls(phases, kept, travel)

    def marginals(self, accumulated: Accumulated) -> NDArray[np.float64]:
        """Of every site alone, in Newton steps, [phenotypes, sites]."""
        measured = self.travel.sum()
        return accumulated.weights / (measured if accumulated.share is None else measured * accumulated.share)

    def noise(
        self, config: RunConfig, statistics: PanelStatistics, kind: Kind, share: NDArray[np.float64] | None = None
    ) -> float | NDArray[np.float64]:
        """Standard deviation of a marginal of one trait after all phases, in Newton steps; [sites] where it differs.

        Each phase's share of the weights is its average over rounds; noises add in squares.
        """
        noises = np.array(
            [
                marginal_noise(
                    statistics.variance,
                    sum(config.enrolled.values()),
                    phase.sample_rate,
                    phase.rounds,
                    node_std(config, phase) * len(config.enrolled) ** 0.5 / part,
                    CURVATURE[kind],
                    RESIDUAL[kind],
                    1.0 if share is None else share,
                )
                for phase, part in zip(self.phases, self.kept, strict=True)
            ]
        )
        parts = self.travel / self.travel.sum()  # [phases]
        if share is None:
            return float(np.sqrt(np.sum((parts * noises) ** 2)))
        return np.asarray(np.sqrt(np.sum((parts[:, None] * noises) ** 2, axis=0)))


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
