"""ML-KEM beside X25519: the combiner against its definition, what is stored, and seals that need both halves."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import IntegrityError
from crypto.public.suites import (
    CIPHERTEXT_BYTES,
    CLASSICAL,
    ENCAPSULATION_KEY_BYTES,
    HYBRID,
    PUBLIC_BYTES,
    require_public_key,
    split,
)  # fmt: skip
from crypto.secret import kem
from crypto.secret.kem import Encapsulated
from crypto.secret.pads import PadKeys
from crypto.secret.sealing import open_sealed, open_shared, seal, seal_to_all

DH, KEM = X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()
PUBLIC = KEM.public_key().public_bytes_raw() + DH.public_key().public_bytes_raw()
SECRET = st.binary(min_size=32, max_size=32)
PARTS = st.lists(st.binary(max_size=40), max_size=5)


def written_down(label: bytes, kem_secret: bytes, dh: bytes, transcript: list[bytes]) -> bytes:
    """The combiner by RFC 5869 from HMAC alone: extract with a salt of zeros, then the first block of expand."""
    info = label
    for part in transcript:
        info += len(part).to_bytes(4, "little") + part
    extracted = hmac.digest(bytes(32), kem_secret + dh, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


# -- the combiner --------------------------------------------------------------------------------------


@given(st.binary(max_size=30), SECRET, SECRET, PARTS)
def test_the_combiner_is_its_written_definition(label: bytes, one: bytes, two: bytes, parts: list[bytes]) -> None:
    assert kem.combine(label, one, two, parts) == written_down(label, one, two, parts)


def test_the_combiner_is_the_same_bytes_for_ever() -> None:
    """Nodes of one run may be of different versions of AFML."""
    made = kem.combine(b"afml hybrid pair v1", b"k" * 32, b"d" * 32, (b"c" * 32, b"", b"text"))
    assert made.hex() == "5bc918eddb97e9963696e69bc02cf9af8a7bdf2892b9186dc752adb78121ecab"


@given(SECRET, SECRET, PARTS, st.data())
def test_whatever_goes_in_changes_what_comes_out(
    one: bytes, two: bytes, parts: list[bytes], data: st.DataObject
) -> None:
    """Each secret, the label, each part, and where one part ends and the next begins."""
    made, flip = kem.combine(b"a", one, two, parts), bytes([1 << data.draw(st.integers(0, 7))])
    place = data.draw(st.integers(0, 31))

    def flipped(secret: bytes) -> bytes:
        return secret[:place] + bytes([secret[place] ^ flip[0]]) + secret[place + 1 :]

    others = [
        kem.combine(b"a", flipped(one), two, parts), kem.combine(b"a", one, flipped(two), parts),
        kem.combine(b"b", one, two, parts), kem.combine(b"a", one, two, [*parts, b""]),
        kem.combine(b"a", one, two, [b"".join(parts), b"x"]), kem.combine(b"a", one, two, [*parts[:-1], b"y" * 41]),
    ]  # fmt: skip
    assert made not in others
    if one != two:
        assert kem.combine(b"a", two, one, parts) != made


def test_secrets_of_another_length_are_refused_whatever_they_add_up_to() -> None:
    for one, two in ((31, 33), (33, 31), (0, 64), (64, 0), (32, 31)):
        with pytest.raises(ValueError, match="fixed length"):
            kem.combine(b"a", bytes(one), bytes(two), ())


# -- keys and ciphertexts --------------------------------------------------------------------------------


def test_a_known_key_opens_a_known_ciphertext() -> None:
    """FIPS 203, algorithms 16 and 18: a key from its seed, and how it answers a ciphertext of zeros."""
    private = MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    public = private.public_key().public_bytes_raw()
    assert len(public) == ENCAPSULATION_KEY_BYTES
    z, ciphertext = bytes(range(32, 64)), bytes(CIPHERTEXT_BYTES)
    # What does not decrypt to its own encryption is answered by J(z || ciphertext), SHAKE256: never an error.
    rejected = hashlib.shake_256(z + ciphertext).digest(32)
    assert kem.decapsulate(private, ciphertext, where="here") == rejected


def test_both_ends_of_an_encapsulation_hold_one_secret_and_nobody_else() -> None:
    made = kem.encapsulate(split(PUBLIC)[0], where="here")
    assert kem.decapsulate(KEM, made.ciphertext, where="here") == made.secret
    assert len(made.ciphertext) == CIPHERTEXT_BYTES
    assert kem.decapsulate(MLKEM768PrivateKey.generate(), made.ciphertext, where="here") != made.secret
    altered = bytes([made.ciphertext[0] ^ 1]) + made.ciphertext[1:]
    assert kem.decapsulate(KEM, altered, where="here") != made.secret
    assert kem.encapsulate(split(PUBLIC)[0], where="here").secret != made.secret


@pytest.mark.parametrize("bad", [b"", b"short", bytes(CIPHERTEXT_BYTES + 1)])
def test_what_is_no_ciphertext_is_refused(bad: bytes) -> None:
    with pytest.raises(IntegrityError, match=f"here: {len(bad)} bytes are no ciphertext"):
        kem.decapsulate(KEM, bad, where="here")


TOO_LARGE = b"\xff" * ENCAPSULATION_KEY_BYTES  # coefficients of 4095, where q is 3329


@pytest.mark.parametrize(
    "bad",
    [b"", bytes(31), PUBLIC[:-1], PUBLIC + b"\0", PUBLIC[-32:], TOO_LARGE + PUBLIC[-32:]],
    ids=["none", "short", "cut", "longer", "X25519 alone", "too large"],
)
def test_a_hybrid_run_takes_hybrid_keys_alone(bad: bytes) -> None:
    require_public_key(PUBLIC, HYBRID, where="here")
    with pytest.raises(IntegrityError, match=r"^here: "):
        require_public_key(bad, HYBRID, where="here")


def test_a_run_by_x25519_takes_no_hybrid_key() -> None:
    require_public_key(PUBLIC[-32:], CLASSICAL, where="here")
    with pytest.raises(IntegrityError, match="1216 bytes are no public key of x25519"):
        require_public_key(PUBLIC, CLASSICAL, where="here")


def test_a_key_that_is_malformed_is_not_encapsulated_to() -> None:
    for bad in (b"", TOO_LARGE):
        with pytest.raises(IntegrityError, match="here: post-quantum key is not usable"):
            kem.encapsulate(bad, where="here")


@pytest.mark.parametrize("agreement", [HYBRID, CLASSICAL])
def test_keys_of_a_run_are_stored_and_read(agreement: str) -> None:
    keys = PadKeys.generate(agreement)  # type: ignore[arg-type]
    again = PadKeys.load(keys.serialise())
    assert again.public == keys.public
    assert len(keys.public) == PUBLIC_BYTES[agreement]  # type: ignore[index]
    assert (again.kem is None) == (agreement == CLASSICAL)


# -- what is stored ------------------------------------------------------------------------------------

ENTRIES = st.dictionaries(
    st.integers(1, 2**32 - 1),
    st.builds(Encapsulated, SECRET, st.binary(min_size=CIPHERTEXT_BYTES, max_size=CIPHERTEXT_BYTES)),
    max_size=4,
)


@given(ENTRIES)
def test_what_was_encapsulated_is_read_as_it_was_stored(made: dict[int, Encapsulated]) -> None:
    data = kem.to_bytes(made)
    assert kem.from_bytes(data, where="here") == made
    assert kem.to_bytes(kem.from_bytes(data, where="here")) == data


@given(ENTRIES.filter(bool), st.integers(1, 1000))
def test_what_was_cut_off_or_doubled_is_refused(made: dict[int, Encapsulated], cut: int) -> None:
    data = kem.to_bytes(made)
    for bad in (data[:-cut], data + bytes(cut), data + data):
        with pytest.raises(IntegrityError, match=r"^here: stored secrets of pairs"):
            kem.from_bytes(bad, where="here")


@given(st.binary(max_size=3000))
def test_whatever_is_read_is_what_would_be_written(data: bytes) -> None:
    try:
        found = kem.from_bytes(data, where="here")
    except IntegrityError:
        return
    assert kem.to_bytes(found) == data


def test_secrets_are_never_shown_nor_pickled() -> None:
    made = kem.encapsulate(split(PUBLIC)[0], where="here")
    assert repr(made) == "Encapsulated(secret)"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(made)


# -- seals -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_a_hybrid_seal_opens_by_both_keys_and_for_its_purpose_alone(message: bytes, info: bytes) -> None:
    sealed = seal(PUBLIC, message, info)
    assert open_sealed(DH, sealed, info, KEM) == message
    assert len(sealed) == 32 + CIPHERTEXT_BYTES + len(message) + 16
    for dh, text, about, opener in (
        (DH, sealed, info + b"x", KEM),
        (X25519PrivateKey.generate(), sealed, info, KEM),
        (DH, sealed, info, MLKEM768PrivateKey.generate()),
        (DH, sealed, info, None),  # X25519 alone
        (DH, seal(PUBLIC[-32:], message, info), info, KEM),  # sealed by X25519 alone, in a hybrid run
    ):
        with pytest.raises(IntegrityError, match="does not open with this node's key"):
            open_sealed(dh, text, about, opener)


@given(st.integers(0, 32 + CIPHERTEXT_BYTES + 5 + 16 - 1), st.integers(0, 7))
def test_every_flipped_bit_of_a_hybrid_seal_is_refused(position: int, bit: int) -> None:
    sealed = bytearray(seal(PUBLIC, b"hello", b"run key"))
    sealed[position] ^= 1 << bit
    with pytest.raises(IntegrityError):
        open_sealed(DH, bytes(sealed), b"run key", KEM)


@given(st.binary(max_size=1300))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        open_sealed(DH, data, b"", KEM)


def test_a_hybrid_seal_matches_the_written_definition() -> None:
    """From the design note: both secrets; then ephemeral key, ciphertext, public keys of the recipient, purpose."""
    sealed = seal(PUBLIC, b"message", b"purpose")
    ephemeral, ciphertext, rest = sealed[:32], sealed[32 : 32 + CIPHERTEXT_BYTES], sealed[32 + CIPHERTEXT_BYTES :]
    dh = PadKeys(DH).shared(ephemeral)
    parts = [ephemeral, ciphertext, PUBLIC, b"purpose"]
    key = written_down(b"afml hybrid seal v1", KEM.decapsulate(ciphertext), dh, parts)
    assert ChaCha20Poly1305(key).decrypt(bytes(12), rest, b"purpose") == b"message"


def test_what_is_sealed_to_several_opens_for_each_by_both_keys() -> None:
    keys = {node: (X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()) for node in (1, 2, 3)}
    publics = {
        node: two.public_key().public_bytes_raw() + one.public_key().public_bytes_raw()
        for node, (one, two) in keys.items()
    }
    shared = seal_to_all(publics, b"message", {node: struct.pack("<Q", node) for node in keys})
    for node, (dh, opener) in keys.items():
        info = struct.pack("<Q", node)
        assert open_shared(dh, shared.ciphertext, shared.keys[node], info, opener) == b"message"
        other = shared.keys[node % 3 + 1]
        with pytest.raises(IntegrityError):
            open_shared(dh, shared.ciphertext, other, info, opener)
        with pytest.raises(IntegrityError):
            open_shared(dh, shared.ciphertext, shared.keys[node], info)


def test_an_unusable_recipient_is_refused() -> None:
    for bad in (TOO_LARGE + PUBLIC[-32:], PUBLIC[:ENCAPSULATION_KEY_BYTES] + bytes(32), PUBLIC[1:]):
        with pytest.raises(IntegrityError, match="not usable"):
            seal(bad, b"x", b"")
