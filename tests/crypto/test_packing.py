"""Packing against a reference that places one coordinate at a time in Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.public.packing import centre, pack, unpack
from crypto.public.params import choose


@given(st.integers(2, 1024), st.integers(2, 16), st.integers(1, 20_000), st.integers(0, 2**32))
def test_pack_and_unpack_match_the_reference(nodes: int, bits: int, parameters: int, seed: int) -> None:
    params = choose(nodes, bits, parameters)
    half = 2 ** (bits - 1)
    fields = np.random.default_rng(seed).integers(-half, half, parameters)
    fields[: parameters // 3] = half - 1
    fields[parameters // 3 : parameters // 2] = -half
    words = pack(fields, params)
    flat = words.reshape(words.shape[0], -1)
    per_field = 2 * params.slots
    for position in {0, parameters - 1, parameters // 2}:
        chunk, inside = divmod(position, params.parameters_per_chunk)
        slot = inside % per_field
        members = range(chunk * params.parameters_per_chunk + slot, parameters, per_field)
        word = sum(
            int(fields[member]) << (place * params.field_bits)
            for place, member in enumerate(list(members)[: params.fields])
        )
        assert int(flat[chunk, slot]) == word
    assert np.array_equal(unpack(words, params, parameters), fields)
    # The largest and smallest possible sums, known mod 2^T only.
    for factor in (nodes, 1):
        total = centre(words * factor, params.total_bits)
        assert np.array_equal(unpack(total, params, parameters), fields * factor)


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1])
def test_a_field_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="16 bits"):
        pack(np.array([value]), choose(5, 16, 10))


@given(st.integers(-(2**62), 2**62), st.integers(2, 60))
def test_centre(word: int, bits: int) -> None:
    got = int(centre(np.array([word]), bits)[0])
    assert (got - word) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= got < 2 ** (bits - 1)
