"""p-values of normal scores, without underflow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Float64 = NDArray[np.float64]


def neg_log10_p(score: Float64) -> Float64:
    """-log10 of the two-sided p-value of standard normal scores, any shape."""
    return np.asarray(-(norm.logsf(np.abs(score)) + math.log(2.0)) / math.log(10.0))


def p_text(neg_log10: float) -> str:
    """A p-value in scientific notation, also where it is too small for a float."""
    exponent = math.floor(-neg_log10)
    mantissa = f"{10.0 ** (-neg_log10 - exponent):.3f}"
    if mantissa == "10.000":
        mantissa, exponent = "1.000", exponent + 1
    return f"{mantissa}e{exponent:+03d}"
