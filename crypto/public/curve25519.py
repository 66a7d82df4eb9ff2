"""Hashing to Curve25519: `curve25519_XMD:SHA-512_ELL2_NU_` of RFC 9380, without the multiplication by the cofactor.

What comes out is the x-coordinate of a point whose discrete logarithm nobody knows, on the curve itself and never on
its twist. X25519 (RFC 7748) clears the cofactor: its scalars are multiples of 8. Not in constant time: what is hashed
here is the caller's own, and nobody else asks for it.
"""

from __future__ import annotations

import hashlib

POINT = 32
"""Bytes of a point's x-coordinate."""
P = 2**255 - 19
_J = 486662
_DIGEST, _BLOCK, _LENGTH = 64, 128, 48  # bytes: SHA-512's output and block, of a field element with 128 bits to spare


def encode_to_curve(message: bytes, domain: bytes) -> bytes:
    """The point of a message: 32 bytes, little-endian, as X25519 takes it.

    Args:
        message: Anything.
        domain: Separates uses, 1 to 255 bytes (RFC 9380, 3.1).
    """
    return map_to_curve(hash_to_field(message, domain)).to_bytes(POINT, "little")


def hash_to_field(message: bytes, domain: bytes) -> int:
    """An element of the field (RFC 9380, 5.2 and 5.3.1; one block of `expand_message_xmd` is enough)."""
    tag = domain + bytes([len(domain)])
    first = hashlib.sha512(bytes(_BLOCK) + message + _LENGTH.to_bytes(2, "big") + b"\0" + tag).digest()
    return int.from_bytes(hashlib.sha512(first + b"\1" + tag).digest()[:_LENGTH], "big") % P


def map_to_curve(element: int) -> int:
    """x-coordinate of the point that Elligator 2 maps an element of the field to (RFC 9380, 6.7.1, Z = 2)."""
    twice = 2 * element * element % P
    x = -_J * pow(1 + twice, -1, P) % P if twice != P - 1 else -_J % P
    return x if on_curve(x) else (-x - _J) % P


def on_curve(x: int) -> bool:
    """Whether x belongs to a point of the curve; of the twist otherwise (Euler's criterion)."""
    square = x * (x * (x + _J) + 1) % P
    return pow(square, (P - 1) // 2, P) in (0, 1)
