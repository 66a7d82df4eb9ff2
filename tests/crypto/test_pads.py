"""Pads: they cancel for exactly one cohort, round and attempt, and are noise otherwise."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import IntegrityError, ProtocolError
from crypto.public import messages
from crypto.public.packing import centre
from crypto.public.params import CodecParams, choose
from crypto.public.signing import cohort_digest, generate_signing_key, public_bytes, sign, verify
from crypto.secret.pads import PadKeys, check_confirmation, confirmation_tag, pad_words
from crypto.secret.update import Pads
from tests.crypto.parties import CONFIG, secrets

PARAMS = choose(5, 16, 10**6)
POOL = 12


def words(
    node: int,
    cohort: list[int],
    *,
    round: int = 1,
    attempt: int = 1,
    config: bytes = CONFIG,
    chunks: range = range(2),
    params: CodecParams = PARAMS,
) -> np.ndarray:
    return pad_words(
        secrets(POOL)[node],
        node,
        cohort,
        config_digest=config,
        round=round,
        attempt=attempt,
        chunks=chunks,
        params=params,
    )


def looks_uniform(pads: np.ndarray, bits: int = PARAMS.total_bits) -> bool:
    """Mean and mean square of 8,192 words within 6 standard errors of uniform on 2^bits values."""
    unit = pads.astype(np.float64).ravel() / 2.0**bits
    count = unit.size
    return abs(unit.mean()) < 6 * np.sqrt(1 / 12 / count) and abs((unit**2).mean() - 1 / 12) < 6 * np.sqrt(
        1 / 180 / count
    )


COHORTS = st.sets(st.integers(1, POOL), min_size=2, max_size=POOL).map(sorted)


@given(COHORTS, st.integers(1, 2**40), st.integers(1, 50), st.integers(0, 2000))
def test_pads_cancel_for_every_cohort(cohort: list[int], round: int, attempt: int, first: int) -> None:
    chunks = range(first, first + 1)
    total = sum(words(node, cohort, round=round, attempt=attempt, chunks=chunks) for node in cohort)
    assert np.all(centre(np.asarray(total), PARAMS.total_bits) == 0)


@given(COHORTS, st.data())
def test_a_missing_member_leaves_noise(cohort: list[int], data: st.DataObject) -> None:
    missing = data.draw(st.sampled_from(cohort))
    total = sum(words(node, cohort) for node in cohort if node != missing)
    assert looks_uniform(centre(np.asarray(total), PARAMS.total_bits))


@given(
    st.sampled_from(
        [
            {"cohort": [1, 2, 3, 4]},
            {"cohort": [1, 2, 4]},
            {"round": 2},
            {"attempt": 2},
            {"config": b"x" * 32},
            {"chunks": range(2, 4)},
        ]
    ),
    st.sampled_from([1, 2]),
)
def test_another_context_gives_unrelated_pads(change: dict[str, object], node: int) -> None:
    base = words(node, [1, 2, 3])
    other = words(node, **{"cohort": [1, 2, 3], **change})  # type: ignore[arg-type]
    assert looks_uniform(base)
    assert looks_uniform(other)
    assert looks_uniform(centre(base - other, PARAMS.total_bits))
    assert looks_uniform(centre(base + other, PARAMS.total_bits))


def test_pads_do_not_depend_on_the_order_of_the_cohort_or_the_stretch_of_chunks() -> None:
    whole = words(2, [1, 2, 3], chunks=range(5))
    assert np.array_equal(whole, words(2, [3, 1, 2], chunks=range(5)))
    assert np.array_equal(whole[3:], words(2, [1, 2, 3], chunks=range(3, 5)))


def test_pads_match_the_written_definition() -> None:
    """Word by word in Python integers, from HKDF and AES-CTR as the design note defines them."""
    cohort, node, chunk = [2, 5, 9], 5, 3
    context = (7).to_bytes(8, "little") + (2).to_bytes(8, "little") + cohort_digest(cohort)
    modulus = 2**PARAMS.total_bits
    want = [0] * (2 * PARAMS.slots)
    for peer in (2, 9):
        pair = b"".join(number.to_bytes(8, "little") for number in sorted((node, peer)))
        info = b"afml pad v1" + (32).to_bytes(4, "little") + CONFIG + context + pair
        key = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secrets(POOL)[node][peer])
        counter = (chunk * 2 * PARAMS.slots // 2).to_bytes(16, "big")
        stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(16 * PARAMS.slots))
        for index in range(2 * PARAMS.slots):
            word = int.from_bytes(stream[8 * index : 8 * index + 8], "little")
            want[index] += word if node < peer else -word
    half = modulus // 2
    got = words(node, cohort, round=7, attempt=2, chunks=range(chunk, chunk + 1))
    assert got.ravel().tolist() == [(word + half) % modulus - half for word in want]


def test_wrong_cohorts_are_refused() -> None:
    with pytest.raises(ProtocolError, match="does not list node 1"):
        words(1, [2, 3])
    with pytest.raises(ProtocolError, match="does not list node 1"):
        words(1, [1, 1, 2])
    with pytest.raises(ProtocolError, match="no pad key of node 40"):
        words(1, [1, 40])


def test_both_ends_derive_the_same_secret() -> None:
    a, b = PadKeys.generate(), PadKeys.generate()
    assert a.shared(b.public) == b.shared(a.public)
    assert PadKeys.load(a.serialise()).public == a.public


@pytest.mark.parametrize("bad", [bytes(32), b"\1" + bytes(31), b"", b"short"])
def test_unusable_peer_keys_are_refused(bad: bytes) -> None:
    with pytest.raises(IntegrityError, match="not usable"):
        PadKeys.generate().shared(bad)


def test_pad_keys_are_signed_by_the_identity_key() -> None:
    identity, pad = generate_signing_key(), PadKeys.generate()
    signature = sign(identity, messages.enrolment("run", CONFIG, 3, pad.public))
    verify(public_bytes(identity), messages.enrolment("run", CONFIG, 3, pad.public), signature)
    swapped = PadKeys.generate().public
    for message in (
        messages.enrolment("run", CONFIG, 3, swapped),
        messages.enrolment("run", CONFIG, 4, pad.public),
        messages.enrolment("run2", CONFIG, 3, pad.public),
        messages.enrolment("run", b"y" * 32, 3, pad.public),
    ):
        with pytest.raises(IntegrityError):
            verify(public_bytes(identity), message, signature)


def test_key_confirmation_names_the_peer() -> None:
    secret = secrets(POOL)[2][7]
    tag = confirmation_tag(secret, CONFIG, 7, 2)
    check_confirmation(tag, secrets(POOL)[7][2], CONFIG, 7, 2)
    for bad in (
        (tag, secrets(POOL)[2][6], CONFIG, 7, 2),
        (tag, secret, b"y" * 32, 7, 2),
        (confirmation_tag(secret, CONFIG, 2, 7), secret, CONFIG, 7, 2),  # this node's own tag, reflected
        (tag[:-1], secret, CONFIG, 7, 2),
    ):
        with pytest.raises(IntegrityError, match="node 7"):
            check_confirmation(*bad)


def test_secrets_are_never_shown_nor_pickled() -> None:
    keys = PadKeys.generate()
    pads = Pads(1, CONFIG, secrets(POOL)[1])
    assert repr(keys) == "PadKeys(secret)"
    assert repr(pads) == f"Pads(node=1, peers={list(range(2, POOL + 1))})"
    for item in (keys, pads):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(item)
