"""Check values of sums: a linear combination of integers in a prime field, and the digits by which it travels.

Nothing here is secret; `crypto.secret.sumcheck` brings coefficients and pads. docs/design/verified-sums.md says what a
check proves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError

PRIME = 2**89 - 1
"""p of the field F_p: a Mersenne prime above any difference of two sums, and above every coefficient."""
BLOCK = 1 << 15
"""Most coordinates that `combined` takes at a time: 2^15 products of 2^20 and 2^16 are exact in float64."""

_PRIME_BITS = 89
PIECES = 4
"""Of 16 bits, of one coefficient."""
_LIMB = 21  # bits of a value that are multiplied at a time
_HALF = 1 << (_LIMB - 1)


def combined(coefficients: NDArray[np.uint16], values: NDArray[np.int64]) -> int:
    """sum_k c_k v_k, an exact integer of any size.

    Args:
        coefficients: Row j holds bits 16 j to 16 j + 15 of each of them, [PIECES, n], n <= BLOCK.
        values: Any int64, [n].
    """
    pieces = coefficients.astype(np.float64)
    total, shift, rest = 0, 0, values
    while rest.size:
        fits = int(rest.min()) >= -_HALF and int(rest.max()) < _HALF  # mostly at once: updates are a few steps
        low = rest if fits else ((rest + _HALF) & (2 * _HALF - 1)) - _HALF  # wraps at worst, and 2^21 divides 2^64
        products = pieces @ low.astype(np.float64)  # whole numbers below 2^51: no order of additions rounds
        total += sum(int(product) << (16 * at) for at, product in enumerate(products)) << shift
        if fits:
            break
        rest = (rest >> _LIMB) + ((rest >> (_LIMB - 1)) & 1)  # (rest - low) / 2^21, which could overflow before it is
        shift += _LIMB
    return total


def digit_bits(nodes: int, bits: int) -> int:
    """Bits of a digit of which `nodes` fit a coordinate of the sum.

    Args:
        nodes: K, the most nodes of a sum.
        bits: B, bits of a coordinate of the sum.

    Raises:
        ConfigError: Not one bit does.
    """
    if (left := bits - (nodes - 1).bit_length()) < 1:
        raise ConfigError(
            f"sums of {nodes} nodes in {bits} bits have no room for a check value",
            where="verified sums",
            cure="have the run made by `afml configure`, which finds enough bits",
        )
    return left


def check_coordinates(nodes: int, bits: int) -> int:
    """E: coordinates that a check value takes, beside those of an update; arguments and errors as `digit_bits`."""
    return -(-_PRIME_BITS // digit_bits(nodes, bits))


def digits_of(element: int, nodes: int, bits: int) -> NDArray[np.int64]:
    """An element of F_p in digits of s bits, each in [-2^(s-1), 2^(s-1)), int64 [E], the lowest first."""
    width = digit_bits(nodes, bits)
    shifts = range(0, width * check_coordinates(nodes, bits), width)
    return np.array([((element >> shift) & ((1 << width) - 1)) - (1 << (width - 1)) for shift in shifts], np.int64)


def element_of(sums: Sequence[int], count: int, nodes: int, bits: int) -> int:
    """The sum in F_p of `count` elements, out of the sums of their digits.

    Args:
        sums: Of each digit, the lowest first, E of them.
        count: Nodes of the sum.
        nodes, bits: As for `digits_of`.
    """
    width = digit_bits(nodes, bits)
    offset = count << (width - 1)  # that every digit was moved by to be centred
    return sum((int(one) + offset) << (width * at) for at, one in enumerate(sums)) % PRIME
