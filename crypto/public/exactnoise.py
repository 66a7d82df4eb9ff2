"""Gaussian noise and unbiased rounding in one step, exact: the integer is that of real numbers, whatever float64 does.

What is drawn is floor(c + sigma G + V) for a real c, G standard normal and V uniform in [0, 1): `c` with Gaussian
noise, rounded down or up at random so that the expectation stays. G is Box and Muller's of two real uniforms, whose
binary digits come from the stream as far as they are wanted, in the way of Karney (2016), who rounds normal deviates
exactly. The first 64 digits of each and float64 settle almost every integer: wherever the value is farther from a whole
number than all errors together can be. The others, about one in eight million, are settled by interval arithmetic with
64 more digits at a time. Nothing is truncated: the integers have this very distribution where the bits are uniform.

Errors of float64 are bounded in docs/design/noise.md, under the assumption that numpy's log, sin and cos are within
2^-44, of their value and absolutely. `SPARE` is more than four times what comes of it. Square roots and the four
operations are as IEEE 754 rounds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.public.random import RandomSource

SPARE = 2.0**-36
"""Distance from a whole number, over sigma + 1, from which on float64 is believed."""
NARROWEST = 2.0**-24
"""Least uniform, and least distance of it from 1, whose logarithm float64 is believed to know so well."""
_PAIRS = 1 << 14  # of Box and Muller's; so many that temporaries stay in a core's cache
_WORD = 64
_LEAST, _MOST = -2 * math.log1p(-NARROWEST), -2 * math.log(NARROWEST)


def noised(centres: NDArray[np.float64], sigma: float, rng: RandomSource) -> NDArray[np.int64]:
    """floor(c + sigma G + V) of every centre c, with its own G and V.

    Args:
        centres: [P], each of them taken as the real number that it is, within 2^52 of zero.
        sigma: Standard deviation, positive.
        rng: Of four words of each two coordinates; its children have the digits beyond them.

    Returns:
        int64 [P].
    """
    steps = np.empty(centres.size, dtype=np.int64)
    for start in range(0, centres.size, 2 * _PAIRS):
        part = centres[start : start + 2 * _PAIRS]
        pairs = (part.size + 1) // 2
        whole = np.rint(part)
        fraction = np.zeros(2 * pairs)
        np.subtract(part, whole, out=fraction[: part.size])  # exact: a float64's distance to the nearest whole number
        words = rng.uint64(4 * pairs).reshape(4, pairs)  # of radius, angle, and both roundings
        floors, unsettled = _by_float64(fraction.reshape(2, pairs), sigma, words)
        for pair in unsettled:
            digits = _digits([int(word) for word in words[:, pair]], rng.child("digits", start // 2 + int(pair)))
            floors[:, pair] = _by_intervals([float(fraction[pair]), float(fraction[pairs + pair])], sigma, digits)
        whole += floors.reshape(-1)[: part.size]
        steps[start : start + part.size] = whole
    return steps


def _by_float64(
    fraction: NDArray[np.float64], sigma: float, words: NDArray[np.uint64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """floor(fraction + sigma G + V), [2, pairs], and the pairs of which float64 cannot tell one of them."""
    values, square = _normals(sigma, words)
    values += fraction
    values += _uniform(words[2:])
    floors = np.floor(values)
    values -= floors
    spare = SPARE * (sigma + 1.0)
    if (
        values.min() > spare and values.max() < 1.0 - spare
        and square.min() > _LEAST and square.max() < _MOST
    ):  # fmt: skip
        return floors, np.zeros(0, np.int64)
    near = ~((values > spare) & (values < 1.0 - spare)).all(axis=0)
    return floors, np.flatnonzero(near | ~((square > _LEAST) & (square < _MOST)))


def _normals(sigma: float, words: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """sigma G, [2, pairs], as float64 has it, and the squares of the radii, [pairs]."""
    square = -2.0 * np.log(np.maximum(words[0].astype(np.float64), 1.0) * 2.0**-_WORD)
    radius = np.sqrt(square)
    radius *= sigma
    angle = _uniform(words[1])
    angle *= 2.0 * np.pi
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)]), square


def _uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Their first 53 digits as numbers in [0, 1)."""
    values = (words >> np.uint64(_WORD - 53)).astype(np.float64)
    values *= 2.0**-53
    return values


def _digits(words: list[int], more: RandomSource) -> Iterator[tuple[int, list[int]]]:
    """How many digits there are of each of four uniforms, and those digits as whole numbers; ever more of them."""
    digits = _WORD
    while True:
        yield digits, words
        words = [(word << _WORD) + int(further) for word, further in zip(words, more.uint64(4), strict=True)]
        digits += _WORD


def _by_intervals(fraction: list[float], sigma: float, digits: Iterator[tuple[int, list[int]]]) -> list[int]:
    """floor(f + sigma G + V) for both fractions f of a pair, from as many digits as it takes."""
    from mpmath.ctx_iv import MPIntervalContext  # most processes never need it

    for known, words in digits:
        context = MPIntervalContext()
        context.prec = 2 * known + 64
        unit = context.mpf(2) ** -known
        first, second, *rounding = (context.mpf([word, word + 1]) * unit for word in words)
        if first.a == 0:  # the radius has no bound yet
            continue
        radius, angle = context.sqrt(-2 * context.log(first)), 2 * context.pi * second
        normals = radius * context.cos(angle), radius * context.sin(angle)
        values = [f + sigma * g + v for f, g, v in zip(fraction, normals, rounding, strict=True)]
        floors = [(_floor(value.a), _floor(value.b)) for value in values]
        if all(low == high for low, high in floors):
            return [low for low, _ in floors]
    raise AssertionError("digits never end")


def _floor(end: Any) -> int:
    """Of an end of an interval, which the library gives as an interval of one number; `int` rounds towards zero."""
    whole = int(end)
    return whole - 1 if end < whole else whole
