"""Which process speaks for an institution in a run: the one whose nonce everybody knows.

A work folder can be copied: a cloned machine, a restored snapshot, a second terminal. What is never in a copy is the
nonce that a process draws when it starts and keeps in memory alone. Enrolment and Ready carry it, signed; pads are made
from it; and the aggregator lets one process at a time speak for a node (docs/design/twins.md).
"""

from __future__ import annotations

import secrets

from afml.core.errors import ProtocolError

LEASE_BYTES = 16


def draw_lease() -> bytes:
    """The nonce of a process that begins, LEASE_BYTES from the operating system. Not to be stored, ever."""
    return secrets.token_bytes(LEASE_BYTES)


def require_lease(lease: bytes, node: int) -> None:
    """Check what another party gives as a nonce.

    Raises:
        ProtocolError: It is none.
    """
    if len(lease) != LEASE_BYTES:
        cure = "update AFML there: a version of before it was asked for does not know of it"
        raise ProtocolError(f"node {node} does not say which process speaks for it", cure=cure)
