"""95 % intervals of AUC and R^2 on held-out people, as people of the same kind would differ by chance."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks.base import Float64

_QUANTILE = 1.959964


def placements(values: Float64, among: Float64) -> Float64:
    """Share of `among` that each value exceeds, ties counting half."""
    ordered = np.sort(among)
    below, not_above = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + not_above) / (2 * len(ordered)))


def delong(placed: Float64, beaten: Float64) -> tuple[float, tuple[float, float]]:
    """An AUC and its interval, after DeLong, DeLong and Clarke-Pearson (1988).

    Args:
        placed: Share of the others that each one exceeds, [members], at least 2.
        beaten: Share of the members that exceeds each other one, [others].
    """
    auc = float(np.mean(placed))
    variance = placed.var(ddof=1) / len(placed) + (beaten.var(ddof=1) / len(beaten) if len(beaten) > 1 else 0.0)
    wide = _QUANTILE * float(np.sqrt(variance))
    return auc, (max(0.0, auc - wide), min(1.0, auc + wide))


def auc_of(cases: Float64, controls: Float64) -> tuple[float, tuple[float, float]]:
    """The AUC of scores, and its interval by `delong`.

    Args:
        cases: Theirs, at least 2.
        controls: Theirs, at least 1.
    """
    return delong(placements(cases, controls), 1 - placements(controls, cases))


def r2_of(correlation: float, people: int) -> tuple[float, float]:
    """The interval of the square of a correlation, by Fisher's transformation of it.

    Args:
        correlation: Of prediction and trait; where it is negative nothing is explained.
        people: At least 4.
    """
    wide = _QUANTILE / np.sqrt(people - 3)
    z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh(z - wide), np.tanh(z + wide)
    return float(max(0.0, low) ** 2), float(max(0.0, high) ** 2)
