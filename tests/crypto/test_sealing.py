"""Sealed messages and signatures."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import IntegrityError
from crypto.public.signing import generate_signing_key, public_bytes, sign, verify
from crypto.secret.sealing import open_sealed, seal

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
