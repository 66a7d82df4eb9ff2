"""What a release can be expected to tell of each trait, given how noisy the associations behind its scores are.

The noise of every DP association is public: that of the mechanism plus that of sampling people. What the associations
may be without it follows from all of them together (empirical Bayes: Robbins 1956), and a release is judged by what it
would tell in each of many such cases. No private record is involved, and everybody who holds the model finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.release.model import ScoredModel
from afml.release.public import public_rng

Noise = float | NDArray[np.float64]
#: Possible worlds, and most of a trait's variance that a release tells in one.
_DRAWS, _MOST = 400, 0.9
#: Spreads of real associations that are tried, as correlations of one site with a trait.
_SPREADS = (0.05, 0.1, 0.2)
#: What is known before: as if so many more sites had been looked at, and one of them were associated.
_BEFORE, _STEPS = 200, 60
#: The panel is small: sites of a score are taken to be this much less linked than on it (as in afml.masking.shrink).
_UNLINKED = 0.5
#: Columns of a release that a linear combination of others makes, up to this share of the largest, tell nothing.
_RANK = 1e-6


@dataclass(frozen=True, eq=False)
class Possible:
    """One trait as it may be, in many cases.

    Attributes:
        sites: Sites of its score, [sites].
        effects: Correlations of each standardised site with the trait, the other sites given, [cases, sites].
    """

    sites: NDArray[np.int64]
    effects: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is known of all traits before a release.

    Attributes:
        traits: Of each.
        trained_on: People whose records and traits recipients learn from.
    """

    traits: tuple[Possible, ...]
    trained_on: int

    def told(self, dosage: NDArray[np.int8], released: NDArray[np.int8] | NDArray[np.float64]) -> tuple[float, ...]:
        """Correlation of each trait with what recipients will predict of people whom they did not learn from.

        Args:
            dosage: Public people, [people, sites].
            released: Their released records; what is masked counts as 0, [people, sites]. Or the scores that a table
                says of them, [people, scores].

        Returns:
            One for each trait, the mean over all cases, in [0, 1].
        """
        basis = _basis(released)  # [people, columns]
        people, columns = basis.shape
        found = []
        for trait in self.traits:
            sites = _standard(dosage[:, trait.sites])
            total = np.einsum("cs,st,ct->c", trait.effects, sites.T @ sites / people, trait.effects)
            shown = ((trait.effects @ (sites.T @ basis)) ** 2).sum(axis=1) / people
            # Columns explain some of anything by chance, among these people and among those that recipients have.
            share = np.clip(shown - total * columns / people, 0.0, _MOST)
            learned = share / np.sqrt(np.maximum(share + columns * (1 - share) / self.trained_on, 1e-12))
            found.append(round(float(learned.mean()), 4))
        return tuple(found)


def expectation(model: ScoredModel, panel: NDArray[np.int8]) -> Expectation | None:
    """What a model says of its traits; None where it says nothing of their noise. Scores of components come last, and
    nothing is expected of them.

    Args:
        model: The trained model.
        panel: Public people, who know which sites go together, [people, sites].
    """
    evidence = np.atleast_2d(model.evidence)
    if not evidence.size:
        return None
    rng = public_rng(model, "expected")
    noise = np.atleast_2d(model.noise).astype(np.float64) if model.noise.size else model.card["noise"]
    made = zip(np.atleast_2d(model.weights)[: len(evidence)], evidence, noise, strict=True)
    return Expectation(tuple(_possible(*one, panel, rng) for one in made), int(model.card["trained_on"]))


def prior(evidence: NDArray[np.float64], noise: Noise) -> tuple[float, Noise]:
    """Share of the sites that have an association, and its spread in standard deviations of the noise.

    The most likely ones: each association is noise alone, or noise and N(0, spread^2). Shares are found by expectation
    maximisation, spreads among a few.

    Args:
        evidence: Associations in standard deviations of their noise, [sites].
        noise: That standard deviation, as a correlation; of all sites, or of each.
    """
    best: tuple[float, float, Noise] = (-np.inf, 0.0, 1.0)
    for correlation in _SPREADS:
        spread, share = correlation / noise, 1 / _BEFORE
        ratio = _log_ratio(evidence, spread)
        for _ in range(_STEPS):
            share = float((_there(ratio, share).sum() + 1) / (len(evidence) + _BEFORE))
        likelihood = float(np.logaddexp(np.log1p(-share), np.log(share) + ratio).sum())
        likelihood += np.log(share) + (_BEFORE - 1) * np.log1p(-share)
        best = max(best, (round(likelihood, 6), share, spread), key=lambda one: one[:2])
    return best[1:]


def _possible(
    weights: NDArray[np.float64],
    evidence: NDArray[np.float32],
    noise: Noise,
    panel: NDArray[np.int8],
    rng: np.random.Generator,
) -> Possible:
    measured, sites = evidence.astype(np.float64), np.flatnonzero(weights)
    share, spread = prior(measured, noise)
    own = measured[sites]
    noise, spread = (value if np.ndim(value) == 0 else np.asarray(value)[sites] for value in (noise, spread))
    kept = spread**2 / (1 + spread**2)
    there = rng.random((_DRAWS, len(sites))) < _there(_log_ratio(own, spread), share)
    alone = noise * np.where(there, kept * own + kept**0.5 * rng.standard_normal(there.shape), 0.0)  # [cases, sites]
    standard = _standard(panel[:, sites])
    linked = standard.T @ standard / len(panel) * (1 - _UNLINKED)
    linked[np.diag_indices(len(sites))] = 1.0
    return Possible(sites, np.asarray(np.linalg.solve(linked, alone.T).T, dtype=np.float64))


def _log_ratio(evidence: NDArray[np.float64], spread: Noise) -> NDArray[np.float64]:
    """Log of how much more likely an association of this spread makes the evidence than none."""
    kept = spread**2 / (1 + spread**2)
    return np.asarray(0.5 * (evidence**2 * kept - np.log1p(spread**2)))


def _there(log_ratio: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Probability of an association, given its prior probability and the evidence."""
    return np.asarray(1 / (1 + np.exp(np.clip(np.log((1 - share) / share) - log_ratio, -700, 700))))


def _standard(dosage: NDArray[np.int8]) -> NDArray[np.float64]:
    """Standardised dosages, missing calls at the mean; 0 where all people are alike, [people, sites]."""
    called = dosage >= 0
    mean = np.where(called, dosage, 0).sum(axis=0) / np.maximum(called.sum(axis=0), 1)
    centred = np.where(called, dosage - mean, 0.0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def _basis(released: NDArray[np.int8] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns that say as much as the released sites or scores do, [people, columns]."""
    shown = np.maximum(released, 0) if released.dtype == np.int8 else released
    columns = shown[:, (shown != shown[:1]).any(axis=0)].astype(np.float64)
    if not columns.shape[1]:
        return np.zeros((len(released), 0))
    left, size, _ = np.linalg.svd(columns - columns.mean(axis=0), full_matrices=False)
    return np.asarray(left[:, size > _RANK * size[0]])
