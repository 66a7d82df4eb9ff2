"""Private set intersection by blind exponentiation: the half that holds keys (docs/design/overlap.md).

Multiplying points by secrets commutes, so two parties who each multiply a point by their own key end with the same
one; and a point that one of them has multiplied tells nobody else what it was made of: decisional Diffie-Hellman on
Curve25519, with points that are hashes (`crypto.public.curve25519`). Meadows, S&P 1986; Huberman, Franklin, Hogg, EC
1999.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from afml.core.errors import IntegrityError
from crypto.public.curve25519 import POINT, encode_to_curve

_DOMAIN = b"AFML-V01-overlap-with-curve25519_XMD:SHA-512_ELL2_NU_"


class BlindKey:
    """A secret that points are multiplied by: of one party, for one query. Never printed, never pickled.

    Args:
        secret: 32 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(secret)

    def times(self, points: bytes, *, where: str) -> bytes:
        """Every point of a row of them multiplied by this secret, in the same order.

        Args:
            points: x-coordinates, 32 bytes each.
            where: Whose they are, for messages.

        Raises:
            IntegrityError: They are no row of points, or one is of small order, which no hash is.
        """
        if len(points) % POINT:
            raise IntegrityError("is no row of points", where=where)
        exchange, read = self._key.exchange, X25519PublicKey.from_public_bytes
        try:
            return b"".join(exchange(read(point)) for point in _each(points))
        except ValueError:  # all zero (RFC 7748, 6.1)
            raise IntegrityError("holds a point of small order", where=where) from None

    def __repr__(self) -> str:
        return "BlindKey(secret)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are never pickled")


class Inputs(NamedTuple):
    """What one party brings, hashed to points: equally many for everybody, each once.

    Attributes:
        points: 32 bytes each, in no order that tells anything of people once they are multiplied and sorted.
        places: For each person, where its points stand.
    """

    points: bytes
    places: list[tuple[int, ...]]


class Blinded(NamedTuple):
    """Points multiplied by a key and sorted, so that their order says nothing.

    Attributes:
        points: 32 bytes each, ascending.
        places: For each person, where its points stand.
    """

    points: bytes
    places: list[tuple[int, ...]]


def hashed(people: Iterable[Sequence[bytes]], each: int, run: bytes, filler: bytes) -> Inputs:
    """Hash everybody's fingerprints to points, and fill up with points of nobody to the same number for all.

    Args:
        people: Fingerprints of each person, `each` at most.
        each: Points for each person; how many calls somebody lacks is nobody's business.
        run: Digest of the run: the same fingerprint is another point in another one.
        filler: Secret that the points of nobody are made of, the same again after a restart.
    """
    known: dict[bytes, int] = {}
    points: list[bytes] = []
    places: list[tuple[int, ...]] = []
    for own in people:
        for fingerprint in own:
            if fingerprint not in known:
                known[fingerprint] = len(points)
                points.append(_point(b"person", fingerprint, run))
        places.append(tuple(sorted({known[fingerprint] for fingerprint in own})))
    for number in range(len(places) * each - len(points)):
        points.append(_point(b"nobody", hmac.digest(filler, number.to_bytes(8, "big"), "sha256"), run))
    return Inputs(b"".join(points), places)


def blinded(key: BlindKey, inputs: Inputs) -> Blinded:
    """The inputs as another party may see them."""
    rows = list(_each(key.times(inputs.points, where="this institution's fingerprints")))
    order = sorted(range(len(rows)), key=rows.__getitem__)
    now = [0] * len(rows)
    for place, row in enumerate(order):
        now[row] = place
    moved = [tuple(now[place] for place in own) for own in inputs.places]
    return Blinded(b"".join(rows[row] for row in order), moved)


def in_common(answers: bytes, theirs: bytes, places: Sequence[Sequence[int]]) -> list[int]:
    """How many points of each of one's own people the other party has too.

    Args:
        answers: One's own points, multiplied by both keys, in the order of `Blinded.points`.
        theirs: The other party's, multiplied by both keys.
        places: `Blinded.places`.

    Raises:
        IntegrityError: Two answers are the same, which answers to different points are not: what two institutions share
            could be found at everybody.
    """
    there, given = set(_each(theirs)), list(_each(answers))
    if len(set(given)) != len(given):
        raise IntegrityError("gives the same point twice", where="answers of another node")
    shared = [point in there for point in given]
    return [sum(shared[place] for place in own) for own in places]


def _point(what: bytes, text: bytes, run: bytes) -> bytes:
    return encode_to_curve(what + run + hashlib.sha256(text).digest(), _DOMAIN)


def _each(points: bytes) -> Iterator[bytes]:
    return (points[at : at + POINT] for at in range(0, len(points), POINT))
