"""Which people stand behind which spend, under a key that never leaves the node.

A person id becomes HMAC-SHA256(key, id), cut to 16 bytes; an enrolment (a set of people) becomes a
commitment, HMAC-SHA256(key, sorted tokens). The commitment is in the ledger entry and thereby in the
tree: rewriting who was enrolled shows, but only to somebody who holds the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import read_secret, write_secret

KEY_FILE = "person.key"


def load_key(folder: Path, *, create: bool) -> bytes:
    """The node-local secret, 32 bytes, mode 0600.

    Raises:
        InputError: Missing (and not to be created), readable by others, or damaged.
    """
    path = folder / KEY_FILE
    if not path.exists() and create:
        write_secret(path, os.urandom(32))
    key = read_secret(path)
    if len(key) != 32:
        raise InputError("person key is damaged", where=path, cure="restore it from the node's backup")
    return key


def token(key: bytes, person: str) -> bytes:
    """Keyed id of a person, 16 bytes."""
    return hmac.digest(key, b"person\x00" + person.encode(), hashlib.sha256)[:16]


def commitment(key: bytes, tokens: Iterable[bytes]) -> bytes:
    """Commitment to a set of people, 32 bytes."""
    return hmac.digest(key, b"enrolment\x00" + b"".join(sorted(tokens)), hashlib.sha256)


def tokens_of(key: bytes, people: Iterable[str]) -> dict[bytes, str]:
    """Keyed ids of people, each with the id it came from.

    Raises:
        InputError: Nobody, or somebody twice.
    """
    listed = list(people)
    found = {token(key, person): person for person in listed}
    if not listed:
        raise InputError("names no person", where="enrolment")
    if len(found) != len(listed):
        raise InputError(f"names {len(listed) - len(found)} people more than once", where="enrolment")
    return found
