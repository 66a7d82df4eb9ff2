"""What a run audit would have found, had the noise been short: a mechanism is only tested by what could have failed.

The plan of an audit (how many canaries are guessed at) and its confidence say how many right guesses refute the
accounts. How often a mechanism with less noise gives that many is played with ideal canaries: orthogonal to each other,
every one as long as the clip norm, all rounds read as one Gaussian observation. Real canaries overlap, so a real audit
finds less: the chances here are the most that it has.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.audit.bounds import one_run_mu
from afml.audit.interval import accounted_mu
from afml.audit.run import AuditResult, attacked_phases
from afml.consortium.run import Phase, RunConfig

NOISE = (1.0, 0.85, 0.7, 0.5, 0.25)
"""Of what is accounted, as it might have been."""
TRIALS = 400


@dataclass(frozen=True)
class Power:
    """How often an audit refutes a mechanism.

    Attributes:
        noise: The noise that is there, as a share of what is accounted.
        found: Share of audits with ideal canaries that refute it.
    """

    noise: float
    found: float


def power(config: RunConfig, result: AuditResult, noise: tuple[float, ...] = NOISE) -> tuple[Power, ...]:
    """The power of an audit that was made, by the plan that it was made by.

    Args:
        config: The run.
        result: Its audit.
        noise: Shares of the accounted noise to be looked at; of each, `TRIALS` audits with fixed seeds.
    """
    each = 1 - (1 - result.confidence) / len(result.guesses)
    needed = [_needed(result, guesses, each) for guesses in result.guesses]
    found = []
    for place, share in enumerate(noise):
        rng = np.random.default_rng([place, result.canaries])
        mu = accounted_mu(config, [_quieter(phase, share) for phase in attacked_phases(config)])
        hits = sum(_refuted(result, mu, needed, rng) for _ in range(TRIALS))
        found.append(Power(share, hits / TRIALS))
    return tuple(found)


def _quieter(phase: Phase, share: float) -> Phase:
    return phase.model_copy(update={"noise_multiplier": phase.noise_multiplier * share})


def _needed(result: AuditResult, guesses: int, confidence: float) -> int:
    """Fewest right guesses that refute what is accounted; one more than there are where none would."""

    def refutes(correct: int) -> bool:
        return one_run_mu(result.canaries, guesses, correct, confidence) > result.mu_attacked

    return bisect.bisect_left(range(guesses + 1), True, key=refutes)


def _refuted(result: AuditResult, mu: float, needed: list[int], rng: np.random.Generator) -> bool:
    """One audit of a mechanism of `mu`: canaries are in by coin toss and seen at +-mu/2 in unit noise."""
    enrolled: NDArray[np.bool_] = rng.random(result.canaries) < 0.5
    scores = np.where(enrolled, mu / 2, -mu / 2) + rng.standard_normal(result.canaries)
    right = ((scores > 0) == enrolled)[np.argsort(-np.abs(scores))]
    return any(int(right[:guesses].sum()) >= least for guesses, least in zip(result.guesses, needed, strict=True))
