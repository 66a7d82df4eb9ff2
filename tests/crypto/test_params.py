"""The chosen parameters: the documented table, every inequality in exact arithmetic, and the refusals."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import pytest
import tenseal.sealapi as seal
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError
from crypto.ckks.run_key import make_context
from crypto.public.params import POLY_MODULUS, PRIMES, CodecParams, choose
from crypto.public.payload import total_size, upload_size

DOCUMENT = Path(__file__).parents[2] / "docs" / "CRYPTO.md"
ROWS = [(k, b) for k in (2, 5, 16, 64, 1024) for b in (8, 11, 14, 18)]


def table_row(nodes: int, bits: int) -> str:
    million = 1_000_000
    row = choose(nodes, bits, million)
    capacity = row.parameters_per_chunk
    cells = [
        f"{nodes}",
        f"{bits} x {row.fields}",
        f"{row.total_bits}",
        f"2^{row.scale_bits}",
        f"{row.prime_bits}",
        f"{upload_size(row) / capacity:.2f}",
        f"{total_size(row, nodes) / capacity:.2f}",
        f"{row.false_refusal(million):.0e}",
        f"2^{math.log2(row.wrong_sum(million)):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def test_documented_table_is_what_choose_returns() -> None:
    documented = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| \d+ \| \d+ x \d", line)]
    assert documented == [table_row(nodes, bits) for nodes, bits in ROWS]


@given(st.integers(2, 1024), st.integers(2, 38), st.integers(1, 10**7), st.booleans())
def test_inequalities_hold_exactly(nodes: int, bits: int, parameters: int, pads: bool) -> None:
    try:
        row = choose(nodes, bits, parameters, pads=pads)
    except ConfigError:
        return
    scale = 2**row.scale_bits
    # sqrt(2) * K * 2^(T-1) * scale < q/2, squared so that it is a statement about integers.
    assert 2 * (nodes * 2 ** (row.total_bits - 1) * scale) ** 2 < Fraction(row.prime, 2) ** 2
    # scale >= 24 * sqrt(V N / 2), squared.
    rounding = Fraction(nodes if pads else nodes**2, 12)
    assert scale**2 >= 24**2 * (Fraction(21, 2) * nodes + rounding) * POLY_MODULUS / 2
    assert row.field_bits == bits
    assert row.total_bits == row.fields * row.field_bits
    assert row.chunks(parameters) * row.parameters_per_chunk >= parameters
    assert row.false_refusal(parameters) <= 1e-3
    assert row.wrong_sum(parameters) <= 2.0**-150


def test_known_rows() -> None:
    assert choose(5, 16, 10**6) == CodecParams(5, 16, 2, 13, 48)
    assert choose(16, 16, 10**6) == CodecParams(16, 16, 2, 14, 51)
    assert choose(64, 13, 10**6) == CodecParams(64, 13, 2, 15, 48)
    assert choose(5, 16, 1000).fields == 1  # a small model takes the smaller ciphertext


@pytest.mark.parametrize(
    ("nodes", "bits", "parameters", "words"),
    [
        (1, 16, 10, "the sum of one node"),
        (1025, 16, 10, "limit is 1024"),
        (5, 1, 10, "1 bits"),
        (5, 39, 10, "39 bits"),
        (5, 16, 0, "0 parameters"),
        (1024, 38, 10, "fit no ciphertext"),
        (5, 16, 10**12, "fit no ciphertext"),
    ],
)
def test_refusals_say_why(nodes: int, bits: int, parameters: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose(nodes, bits, parameters)


@pytest.mark.parametrize("bits", sorted(PRIMES))
def test_primes_and_security_are_those_of_seal(bits: int) -> None:
    assert seal.CoeffModulus.Create(POLY_MODULUS, [bits])[0].value() == PRIMES[bits]
    assert bits <= seal.CoeffModulus.MaxBitCount(POLY_MODULUS, seal.SEC_LEVEL_TYPE.TC192)


def test_context_refuses_what_is_not_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    row = choose(5, 16, 10**6)
    monkeypatch.setattr("crypto.public.params.POLY_MODULUS", 1024)
    with pytest.raises(ConfigError, match="128-bit"):
        make_context(row)


def test_digest_covers_every_field() -> None:
    row = choose(5, 16, 10**6)
    others = [
        choose(6, 16, 10**6),
        choose(5, 15, 10**6),
        choose(5, 16, 1000),
        choose(5, 16, 10**6, pads=False),
    ]
    assert len({row.digest(), *(other.digest() for other in others)}) == 5
