"""Several centred fields per word, two words (real, imaginary) per slot.

The word of fields f_0 .. f_(F-1) is sum_i f_i * 2^(i B), known mod 2^T, T = F B. Words of several nodes add field by
field. No node's field need fit B bits: the sum of words mod 2^T is that of the integers, and adding half of each
field's range makes every field of a sum that fits nonnegative before they are cut apart. A field of the sum beyond
[-2^(B-1), 2^(B-1)) wraps, and its neighbour is off by one or more: still a function of the sums alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crypto.public.params import CodecParams


def pack(fields: NDArray[np.int64], params: CodecParams) -> NDArray[np.int64]:
    """Pack P integers.

    Args:
        fields: Coordinates, int64 [P].
        params: Layout.

    Returns:
        Centred words mod 2^T, int64 [chunks, 2, slots]; the tail of the last chunk is zero.
    """
    chunks = params.chunks(fields.size)
    padded = np.zeros(chunks * params.parameters_per_chunk, dtype=np.int64)
    padded[: fields.size] = fields
    planes = padded.reshape(chunks, params.fields, 2, params.slots)
    words = planes[:, 0].copy()  # [chunks, 2, slots]
    for index in range(1, params.fields):
        words += planes[:, index] << (index * params.field_bits)  # wraps mod 2^64 at worst, and 2^T divides 2^64
    return centre(words, params.total_bits)


def unpack(words: NDArray[np.int64], params: CodecParams, parameters: int) -> NDArray[np.int64]:
    """The exact integer sums out of words that are known mod 2^T.

    Args:
        words: Sums of packed words, int64 [chunks, 2, slots], any representative mod 2^T.
        params: Layout.
        parameters: P, how many coordinates to return.

    Returns:
        Sums, int64 [P], each in [-2^(B-1), 2^(B-1)).
    """
    half = 1 << (params.field_bits - 1)
    bias = sum(half << (index * params.field_bits) for index in range(params.fields))
    planes = np.empty((words.shape[0], params.fields, 2, params.slots), dtype=np.int64)
    for chunk, plane in zip(words, planes, strict=True):  # one at a time: temporaries stay in a core's cache
        shifted = chunk + bias  # wraps mod 2^64 at worst, and 2^T divides 2^64
        for index in range(params.fields):
            plane[index] = ((shifted >> (index * params.field_bits)) & (2 * half - 1)) - half
    return planes.reshape(-1)[:parameters]


def centre(words: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The representative of each word mod 2^bits in [-2^(bits-1), 2^(bits-1))."""
    half = 1 << (bits - 1)
    return ((words + half) & ((1 << bits) - 1)) - half
