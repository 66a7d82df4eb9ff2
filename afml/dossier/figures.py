"""Numbers as people read them, never rounded to the better side."""

from __future__ import annotations

import math
from decimal import Decimal


def figures(value: float, count: int, rounding: str) -> str:
    """A number with so many figures, rounded as `decimal` names it: up for the most, down for the least."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    exact = Decimal(repr(value))  # as it is written: 0.9 is not a little more than 0.9
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - count + 1), rounding=rounding)
    return f"{float(rounded):.{count}g}"
