"""Sealed messages and signatures."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import IntegrityError
from crypto.public.signing import generate_signing_key, public_bytes, sign, verify
from crypto.secret.sealing import open_sealed, open_shared, seal, seal_to_all

KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_sealed_messages_open_once_the_key_and_purpose_match(message: bytes, info: bytes) -> None:
    sealed = seal(PUBLIC, message, info)
    assert open_sealed(KEY, sealed, info) == message
    assert seal(PUBLIC, message, info) != sealed
    with pytest.raises(IntegrityError):
        open_sealed(KEY, sealed, info + b"x")
    with pytest.raises(IntegrityError):
        open_sealed(X25519PrivateKey.generate(), sealed, info)


@given(st.integers(0, 32 + 5 + 16 - 1), st.integers(0, 7))
def test_every_flipped_bit_is_refused(position: int, bit: int) -> None:
    sealed = bytearray(seal(PUBLIC, b"hello", b"run key"))
    sealed[position] ^= 1 << bit
    with pytest.raises(IntegrityError):
        open_sealed(KEY, bytes(sealed), b"run key")


@given(st.binary(max_size=200), st.integers(0, 4))
def test_what_is_sealed_to_several_opens_for_each_and_nobody_else(message: bytes, count: int) -> None:
    keys = {number: X25519PrivateKey.generate() for number in range(count)}
    publics = {number: key.public_key().public_bytes_raw() for number, key in keys.items()}
    sealed = seal_to_all(publics, message, {number: b"to %d" % number for number in keys})
    assert set(sealed.keys) == set(keys)
    assert len(sealed.ciphertext) == len(message) + 16
    assert message not in sealed.ciphertext or len(message) < 3
    for number, key in keys.items():
        own, info = sealed.keys[number], b"to %d" % number
        assert open_shared(key, sealed.ciphertext, own, info) == message
        for wrong in (
            lambda: open_shared(KEY, sealed.ciphertext, own, info),  # noqa: B023
            lambda: open_shared(key, sealed.ciphertext, own, b"to another"),  # noqa: B023
            lambda: open_shared(key, sealed.ciphertext[:-1], own, info),  # noqa: B023
            lambda: open_shared(key, sealed.ciphertext, own[:-1], info),  # noqa: B023
            lambda: open_shared(key, sealed.ciphertext, seal(publics[number], b"no key", info), info),  # noqa: B023
        ):
            with pytest.raises(IntegrityError, match="does not open with this node's key"):
                wrong()


@given(st.binary(max_size=60))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        open_sealed(KEY, data, b"")


def test_unusable_recipient() -> None:
    for bad in (bytes(32), b"short"):
        with pytest.raises(IntegrityError, match="roster"):
            seal(bad, b"x", b"")


def test_signatures() -> None:
    key = generate_signing_key()
    signature = sign(key, b"message")
    verify(public_bytes(key), b"message", signature)
    for public, message, bad in (
        (public_bytes(key), b"other", signature),
        (public_bytes(generate_signing_key()), b"message", signature),
        (public_bytes(key), b"message", signature[:-1]),
        (b"short", b"message", signature),
    ):
        with pytest.raises(IntegrityError, match="here: signature does not match"):
            verify(public, message, bad, where="here")
