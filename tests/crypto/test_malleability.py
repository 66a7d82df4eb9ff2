"""What the threat model admits: whoever relays a sum can shift it without a key, and how far that carries."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import IntegrityError
from crypto.public.grid import Grid
from crypto.public.params import CodecParams, choose
from crypto.public.payload import read_total, write_total
from tests.crypto.parties import blind_sum, codec, encode

NODES, PARAMETERS = 5, 8000
COHORT = list(range(1, NODES + 1))


def honest_sum() -> tuple[CodecParams, list[bytes], np.ndarray]:
    params, grid = choose(NODES, 16, 10**6), Grid(1.0)
    rng = np.random.default_rng(2)
    uploads = [encode(params, grid, node, rng.normal(0, 500, PARAMETERS), COHORT) for node in COHORT]
    totals = blind_sum(params, uploads)
    return params, totals, codec(params, 1).decode(totals, PARAMETERS)


def shifted(params: CodecParams, total: bytes, coefficient: int) -> bytes:
    """Add the constant polynomial `coefficient` to c0: in number-theoretic form it is constant too."""
    ciphertext = read_total(params, total)
    body = (ciphertext.body + np.uint64(coefficient % params.prime)) % np.uint64(params.prime)
    return write_total(params, ciphertext.seeds, body)


def test_a_keyless_aggregator_can_add_an_offset_of_its_choice() -> None:
    params, totals, honest = honest_sum()
    moved = [shifted(params, total, 7 * int(params.scale)) for total in totals]
    got = codec(params, 1).decode(moved, PARAMETERS)
    # A constant polynomial is the same real number in every slot: 7 in the lowest field of each real word.
    assert set(np.unique(got - honest)) == {0, 7}
    real = np.arange(PARAMETERS) < params.slots
    assert np.array_equal(got - honest, np.where(real, 7, 0))


def test_an_offset_that_is_no_whole_number_of_steps_is_refused() -> None:
    params, totals, _ = honest_sum()
    moved = [shifted(params, total, int(params.scale) // 2) for total in totals]
    with pytest.raises(IntegrityError, match="from an integer"):
        codec(params, 1).decode(moved, PARAMETERS)
