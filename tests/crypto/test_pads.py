"""Pads: they cancel for exactly one cohort, round and attempt, and are noise otherwise."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import LEASE_BYTES
from afml.core.errors import IntegrityError, ProtocolError
from crypto.public.packing import centre
from crypto.public.params import CodecParams, choose
from crypto.public.signing import cohort_digest, generate_signing_key, public_bytes, sign, verify
from crypto.secret.pads import PadKeys, Pads, check_confirmation, confirmation_tag
from tests.crypto.parties import CONFIG, FIRST, attempt, secrets

PARAMS = choose(5, 16, 10**6)
POOL = 12
LEASE = bytes(LEASE_BYTES)


def words(
    node: int,
    cohort: list[int],
    *,
    at: Attempt = FIRST,
    config: bytes = CONFIG,
    chunks: range = range(2),
    params: CodecParams = PARAMS,
    leases: dict[int, bytes] | None = None,
) -> np.ndarray:
    of = {member: bytes([member]) * LEASE_BYTES for member in cohort} | (leases or {})
    binding = Binding("run", config, at, tuple(cohort), tuple(of[member] for member in cohort))
    return Pads(node, config, secrets(POOL)[node], of.get(node, b"")).words(binding, chunks, params)


def looks_uniform(pads: np.ndarray, bits: int = PARAMS.total_bits) -> bool:
    """Mean and mean square of 8,192 words within 6 standard errors of uniform on 2^bits values."""
    unit = pads.astype(np.float64).ravel() / 2.0**bits
    count = unit.size
    return abs(unit.mean()) < 6 * np.sqrt(1 / 12 / count) and abs((unit**2).mean() - 1 / 12) < 6 * np.sqrt(
        1 / 180 / count
    )


COHORTS = st.sets(st.integers(1, POOL), min_size=2, max_size=POOL).map(sorted)


@given(COHORTS, st.integers(1, 2**40), st.integers(1, 50), st.integers(0, 2000))
def test_pads_cancel_for_every_cohort(cohort: list[int], round: int, number: int, first: int) -> None:
    chunks = range(first, first + 1)
    total = sum(words(node, cohort, at=Attempt(round, number), chunks=chunks) for node in cohort)
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
            {"at": Attempt(2, 1)},
            {"at": Attempt(1, 2)},
            {"config": b"x" * 32},
            {"leases": {1: LEASE}},  # the process of either end of a pair, or of a third node, was started again
            {"leases": {2: LEASE}},
            {"leases": {3: LEASE}},
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
    leases = [bytes([member]) * LEASE_BYTES for member in cohort]
    digest = hashlib.sha256(b"afml cohort v2" + (3).to_bytes(4, "little"))
    for member, lease in zip(cohort, leases, strict=True):
        digest.update(member.to_bytes(4, "little") + LEASE_BYTES.to_bytes(4, "little") + lease)
    assert cohort_digest(cohort, leases) == cohort_digest(cohort[::-1], leases[::-1]) == digest.digest()
    context = (7).to_bytes(8, "little") + (2).to_bytes(8, "little") + digest.digest()
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
    got = words(node, cohort, at=Attempt(7, 2), chunks=range(chunk, chunk + 1))
    assert got.ravel().tolist() == [(word + half) % modulus - half for word in want]


def test_wrong_cohorts_are_refused() -> None:
    with pytest.raises(ProtocolError, match="does not list node 1"):
        words(1, [2, 3])
    with pytest.raises(ProtocolError, match="does not list node 1"):
        words(1, [1, 1, 2])
    with pytest.raises(ProtocolError, match="no pad key of node 40"):
        words(1, [1, 40])


def test_a_process_makes_pads_only_where_it_has_joined_itself() -> None:
    joined = Binding("run", CONFIG, FIRST, (1, 2), (LEASE, b"2" * LEASE_BYTES))
    assert Pads(1, CONFIG, secrets(POOL)[1], LEASE).words(joined, range(1), PARAMS).any()
    for other in (b"3" * LEASE_BYTES, b"2" * LEASE_BYTES, b""):
        with pytest.raises(ProtocolError, match="another process has joined this attempt for node 1"):
            Pads(1, CONFIG, secrets(POOL)[1], other).words(joined, range(1), PARAMS)
    with pytest.raises(ProtocolError, match="another process"):
        Pads(1, CONFIG, secrets(POOL)[1], LEASE).words(attempt([1, 2]), range(1), PARAMS)


def test_pads_of_another_run_are_refused() -> None:
    with pytest.raises(ProtocolError, match="round 1: these pads are of another run"):
        Pads(1, b"y" * 32, secrets(POOL)[1]).words(attempt([1, 2]), range(1), PARAMS)


def test_pads_are_the_same_bytes_for_ever() -> None:
    """A node that goes on with a run after an upgrade must agree with peers that have not upgraded."""
    params = choose(3, 18, 10**6)
    binding = Binding("run", b"c" * 32, Attempt(4, 2), (1, 2, 3))
    made = Pads(2, b"c" * 32, {1: b"a" * 32, 3: b"b" * 32}).words(binding, range(1, 3), params)
    digest = hashlib.sha256(made.astype("<i8").tobytes()).hexdigest()
    assert digest == "98083627608b91180ad2a30cc0b80715009fabd023ebf9411ea8738cc362612f"


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
    signature = sign(identity, messages.enrolment("run", CONFIG, 3, pad.public, LEASE))
    verify(public_bytes(identity), messages.enrolment("run", CONFIG, 3, pad.public, LEASE), signature)
    swapped = PadKeys.generate().public
    for message in (
        messages.enrolment("run", CONFIG, 3, swapped, LEASE),
        messages.enrolment("run", CONFIG, 4, pad.public, LEASE),
        messages.enrolment("run2", CONFIG, 3, pad.public, LEASE),
        messages.enrolment("run", b"y" * 32, 3, pad.public, LEASE),
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
