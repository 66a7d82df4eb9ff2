"""Packing against a reference that places one coordinate at a time in Python integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crypto.public.packing import centre, pack, unpack
from crypto.public.params import choose


@given(st.integers(2, 1024), st.integers(2, 26), st.integers(1, 20_000), st.integers(0, 2**32))
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
        top = 2 ** (params.total_bits - 1)
        assert int(flat[chunk, slot]) == (word + top) % (2 * top) - top
    assert np.array_equal(unpack(words, params, parameters), fields)


@given(st.integers(2, 40), st.integers(2, 20), st.integers(1, 20_000), st.integers(0, 2**32))
def test_words_add_up_whatever_their_terms_as_long_as_the_sum_fits(
    nodes: int, bits: int, parameters: int, seed: int
) -> None:
    """Sums are known mod 2^T only, and no term need fit: `total` comes back from terms of 60 bits."""
    params, rng = choose(nodes, bits, parameters), np.random.default_rng(seed)
    half = 2 ** (bits - 1)
    total = rng.integers(-half, half, parameters)
    terms = [rng.integers(-(2**59), 2**59, parameters) for _ in range(min(nodes, 5) - 1)]
    words = sum(pack(term, params) for term in [*terms, total - sum(terms)])
    assert np.array_equal(unpack(centre(words, params.total_bits), params, parameters), total)


def test_a_sum_beyond_its_bits_wraps_and_its_neighbour_is_off_by_one() -> None:
    params = choose(5, 8, 10**6)
    fields = np.zeros(params.parameters_per_chunk, np.int64)
    fields[0], neighbour = 130, 2 * params.slots
    got = unpack(pack(fields, params), params, fields.size)
    assert (got[0], got[neighbour]) == (130 - 256, 1)
    assert np.count_nonzero(got) == 2


@given(st.integers(-(2**62), 2**62), st.integers(2, 60))
def test_centre(word: int, bits: int) -> None:
    got = int(centre(np.array([word]), bits)[0])
    assert (got - word) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= got < 2 ** (bits - 1)
