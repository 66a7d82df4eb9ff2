"""Payload parsing, the adder's refusals, and what the aggregator's imports reach."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ProtocolError
from crypto.public.blind import BlindAdder, add_payloads, check_payload
from crypto.public.params import PRIMES, CodecParams, choose
from crypto.public.payload import read_total, read_upload, total_size, upload_size, write_total, write_upload
from tests.crypto.parties import run_key

PARAMS = choose(5, 16, 10**6)


def upload(params: CodecParams = PARAMS, fill: int = 0) -> bytes:
    return run_key(params).encrypt(np.full((2, params.slots), fill))


@given(st.sampled_from(sorted(PRIMES)), st.integers(0, 2**32))
def test_coefficients_round_trip_at_every_width(prime_bits: int, seed: int) -> None:
    params = CodecParams(2, 8, 1, 13, prime_bits)
    body = np.random.default_rng(seed).integers(0, params.prime, params.poly_modulus, dtype=np.uint64)
    body[:2] = (0, params.prime - 1)
    payload = write_upload(params, bytes(64), body)
    assert len(payload) == upload_size(params) == 16 + 64 + params.poly_modulus * prime_bits // 8
    assert np.array_equal(read_upload(params, payload).body, body)
    total = write_total(params, [b"b" * 64, b"a" * 64], body)
    assert len(total) == total_size(params, 2)
    parsed = read_total(params, total)
    assert parsed.seeds == (b"a" * 64, b"b" * 64)
    assert np.array_equal(parsed.body, body)


@given(st.integers(2, 16), st.integers(0, 2**32))
def test_addition_is_exact_mod_q(count: int, seed: int) -> None:
    params = CodecParams(16, 8, 1, 13, 60)
    rng = np.random.default_rng(seed)
    bodies = rng.integers(params.prime - 5, params.prime, (count, params.poly_modulus), dtype=np.uint64)
    payloads = [write_upload(params, bytes([i]) * 64, body) for i, body in enumerate(bodies)]
    want = [sum(int(body[j]) for body in bodies) % params.prime for j in range(5)]
    assert read_total(params, add_payloads(params, payloads)).body[:5].tolist() == want


def test_damaged_payloads_are_refused() -> None:
    good = upload()
    check_payload(PARAMS, good)
    for bad, words in (
        (good[:-1], "bytes, not"),
        (good + b"\0", "bytes, not"),
        (b"", "not a ciphertext"),
        (b"XXXX" + good[4:], "not a ciphertext"),
        (good[:4] + b"\0" + good[5:], "other codec parameters"),
        (good[:80] + b"\xff" * (len(good) - 80), "below the modulus"),
        (upload(choose(64, 16, 10**6)), "other codec parameters"),
        (add_payloads(PARAMS, [good]), "not a ciphertext"),
    ):
        with pytest.raises(ProtocolError, match=words):
            check_payload(PARAMS, bad)
        adder = BlindAdder(PARAMS)
        with pytest.raises(ProtocolError):
            adder.add(bad)
        assert adder.count == 0


def test_duplicates_and_surplus_updates_are_refused() -> None:
    payloads = [upload(fill=i) for i in range(6)]
    adder = BlindAdder(PARAMS)
    adder.add(payloads[0])
    with pytest.raises(ProtocolError, match="already added"):
        adder.add(payloads[0])
    for payload in payloads[1:5]:
        adder.add(payload)
    with pytest.raises(ProtocolError, match="at most 5"):
        adder.add(payloads[5])
    assert adder.count == 5
    words, _ = run_key(PARAMS).decrypt(adder.total())
    assert np.all(words == 10)


def test_nothing_added_is_no_total() -> None:
    with pytest.raises(ProtocolError, match="nothing"):
        BlindAdder(PARAMS).total()


def test_damaged_totals_are_refused() -> None:
    good = add_payloads(PARAMS, [upload(fill=1), upload(fill=2)])
    seeds = good[18 : 18 + 128]
    for bad, words in (
        (good[:-1], "bytes, not"),
        (good[:16] + b"\0\0" + good[18:], "total of 0"),
        (good[:16] + b"\x06\0" + good[18:], "total of 6"),
        (good[:18] + seeds[:64] * 2 + good[146:], "added twice"),
        (upload(), "total of|not a ciphertext"),
        (good[:10], "total of|bytes, not"),
    ):
        with pytest.raises(ProtocolError, match=words):
            read_total(PARAMS, bad)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_cleanly(data: bytes) -> None:
    for reader in (read_upload, read_total):
        with pytest.raises(ProtocolError):
            reader(PARAMS, data)


def test_the_public_half_loads_no_key_code_and_no_he_library() -> None:
    script = (
        "import sys, aggregator.server, crypto.public.blind, crypto.public.grid, afml.consortium.kit, "
        "crypto.public.packing, afml.consortium.scheme, afml.consortium.messages\n"
        "from crypto.public.backend import BACKENDS, public_backend\n"
        "for name in BACKENDS: public_backend(name)\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('tenseal', 'torch', 'cyvcf2') "
        "or m.startswith(('crypto.secret', 'crypto.ckks', 'afml.consortium.nodekit', 'afml.consortium.provision', "
        "'afml.consortium.ownkeys', 'afml.consortium.authority'))]\n"
        "print(bad); sys.exit(bool(bad))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
