"""Hashing to Curve25519: the vectors of RFC 9380, and arithmetic written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.public.curve25519 import P, encode_to_curve, hash_to_field, map_to_curve, on_curve

DOMAIN = b"QUUX-V01-CS02-with-curve25519_XMD:SHA-512_ELL2_NU_"
#: RFC 9380, J.4.2: message, u, x of Q, x of P = 8 Q.
VECTORS = [
    (
        b"",
        "608d892b641f0328523802a6603427c26e55e6f27e71a91a478148d45b5093cd",
        "51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
        "1bb913f0c9daefa0b3375378ffa534bda5526c97391952a7789eb976edfe4d08",
    ),
    (
        b"abc",
        "46f5b22494bfeaa7f232cc8d054be68561af50230234d7d1d63d1d9abeca8da5",
        "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
        "7c22950b7d900fa866334262fcaea47a441a578df43b894b4625c9b450f9a026",
    ),
    (
        b"abcdef0123456789",
        "235fe40c443766ce7e18111c33862d66c3b33267efa50d50f9e8e5d252a40aaa",
        "3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
        "31ad08a8b0deeb2a4d8b0206ca25f567ab4e042746f792f4b7973f3ae2096c52",
    ),
]
elements = st.integers(0, P - 1)


def doubled(x: int) -> int:
    """x(2 Q) from x(Q), by the textbook's formula of a Montgomery curve."""
    above, below = (x * x - 1) ** 2, 4 * x * (x * x + 486662 * x + 1)
    return above * pow(below, -1, P) % P


@pytest.mark.parametrize(("message", "u", "q", "p"), VECTORS)
def test_the_vectors_of_the_rfc(message: bytes, u: str, q: str, p: str) -> None:
    assert hash_to_field(message, DOMAIN) == int(u, 16)
    assert map_to_curve(int(u, 16)) == int(q, 16)
    point = encode_to_curve(message, DOMAIN)
    assert int.from_bytes(point, "little") == int(q, 16)
    assert doubled(doubled(doubled(int(q, 16)))) == int(p, 16)


@given(elements)
def test_what_is_mapped_lies_on_the_curve_and_never_on_its_twist(element: int) -> None:
    x = map_to_curve(element)
    assert on_curve(x)
    assert 0 <= x < P


@given(elements)
def test_eulers_criterion_finds_squares(root: int) -> None:
    """An x is of the curve if and only if its y squared has a root; times 2, a non-square, it has none."""
    square = root * (root * (root + 486662) + 1) % P
    if square:
        y = next((y for y in _roots(square) if y * y % P == square), None)
        assert on_curve(root) == (y is not None)


def _roots(square: int) -> list[int]:
    """Both candidates for a root where p = 5 mod 8 (Atkin)."""
    candidate = pow(square, (P + 3) // 8, P)
    return [candidate, candidate * pow(2, (P - 1) // 4, P) % P]


def test_domains_are_apart() -> None:
    assert encode_to_curve(b"message", b"one") != encode_to_curve(b"message", b"two")
