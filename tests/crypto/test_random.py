"""Normal samples made block by block are those of the whole formula, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from crypto.public import random as module
from crypto.public.random import SeededRandom


def _whole(stream: SeededRandom, count: int) -> NDArray[np.float64]:
    """Box and Muller 1958, of all words at once."""
    pairs = (count + 1) // 2
    radius = np.sqrt(-2.0 * np.log((stream.uint64(pairs).astype(np.float64) + 1.0) * 2.0**-64))
    angle = 2.0 * np.pi * stream.uniform(pairs)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


@pytest.mark.parametrize("block", [1, 3, 64, 1 << 15])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1001])
def test_normal_samples_do_not_depend_on_the_block(count: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    one, other = SeededRandom(1, "noise"), SeededRandom(1, "noise")
    assert np.array_equal(one.normal(count), _whole(other, count))
    assert np.array_equal(one.uint64(3), other.uint64(3)), "and the stream goes on at the same word"
