"""Roots of functions of one number."""

from __future__ import annotations

from collections.abc import Callable


def root(gap: Callable[[float], float], low: float, high: float, *, xtol: float = 2e-12) -> float:
    """Where a continuous function is 0, by Brent's method (1973).

    Args:
        gap: The function; of different signs at `low` and `high`.
        low: Where to begin.
        high: Where to end.
        xtol: How far the answer may be from the root.
    """
    # 40 MB of modules, which whoever prepares data or masks records does without.
    from scipy.optimize import brentq

    return float(brentq(gap, low, high, xtol=xtol))
