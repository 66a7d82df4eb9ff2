"""Bounds as people read them: never rounded to the better side."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

_ARITHMETIC = Decimal("1e-9")
"""Relative: what is nearer than this to a shorter figure is it, but for what float64 added: 0.1 + 0.2 is 0.300."""


def at_most(value: float, places: int = 3) -> str:
    """An upper bound with so many decimals, rounded up: what was spent, epsilon, PLE."""
    return _bound(value, places, ROUND_CEILING)


def at_least(value: float, places: int = 3) -> str:
    """A lower bound with so many decimals, rounded down: what an attack established, what is left, a limit."""
    return _bound(value, places, ROUND_FLOOR)


def _bound(value: float, places: int, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    exact, unit = Decimal(repr(float(value))), Decimal(1).scaleb(-places)  # as it is written
    nearest = exact.quantize(unit, ROUND_HALF_EVEN)
    near = abs(nearest - exact) <= _ARITHMETIC * abs(exact)
    return f"{nearest if near else exact.quantize(unit, rounding):f}"
