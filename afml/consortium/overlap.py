"""The query for people enrolled at two institutions, as far as all ends of the wire agree on it.

Of two nodes the earlier one in `order` keeps a person whom both have, the later one asks and leaves the person out
(docs/design/overlap.md).
"""

from __future__ import annotations

import hashlib
import re

from afml.consortium.run import RunConfig
from crypto.public.curve25519 import POINT

BANDS = 32
"""Fingerprints of a person."""
SHARED = 2
"""Fingerprints that two records of one person have in common at least."""
OWN, ASK = "overlap-own", "overlap-ask"
_ANSWER = re.compile(r"overlap-answer-([1-9][0-9]{0,5})")


def answer_to(node: int) -> str:
    """Subject of the letter in which a node is answered."""
    return f"overlap-answer-{node}"


def about_overlap(subject: str) -> bool:
    """Whether a letter is part of the query, before any training."""
    return subject in (OWN, ASK) or _ANSWER.fullmatch(subject) is not None


def size_of(people: int) -> int:
    """Bytes of the points of so many people."""
    return people * BANDS * POINT


def letter_size(run: RunConfig, sender: int, subject: str) -> int | None:
    """Bytes of the part of a letter that all its recipients get; None where there is no such letter in this run.

    Args:
        run: Says how many people everybody enrols.
        sender: Of the letter.
        subject: `OWN`, `ASK`, or an `answer_to`.
    """
    answered = _ANSWER.fullmatch(subject)
    people = run.enrolled.get(sender if answered is None else int(answered[1]))
    return None if people is None or not about_overlap(subject) else size_of(people)


def order(run: RunConfig) -> tuple[int, ...]:
    """The nodes of a run in the order in which they keep people whom several have: the first one keeps all of its own.

    It follows from the run's digest alone, so nobody who takes part chooses it.
    """
    digest = run.digest()

    def drawn(node: int) -> bytes:
        return hashlib.sha256(b"afml overlap order v1\0" + digest + node.to_bytes(4, "big")).digest()

    return tuple(sorted(run.nodes, key=drawn))
