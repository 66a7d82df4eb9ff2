"""Room on a node's disk: nothing is begun that could not be stored, and a full disk is waited out.

A node without room for its next update is not ready: it spends nothing, the others go on without it once their patience
ends, and it joins the next attempt after somebody has made room.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from afml.consortium.run import RunConfig
from afml.consortium.space import Packs, free_bytes, largest_update
from afml.core.progress import Event, Tell
from node.client import Client
from node.patience import next_note, utc_now

LOOK_S = 1.0
"""Seconds between two looks at a full disk."""
_SMALL = 4 << 20
"""Bytes for an entry of the ledger and the like."""


class WaitingParty(Protocol):
    """What waiting for room needs of a node (`node.party.Party`)."""

    @property
    def client(self) -> Client:
        """Its connection, whose patience a signal to stop ends."""
        ...

    @property
    def tell(self) -> Tell:
        """Told what it is doing."""
        ...

    def require_going(self) -> None:
        """End the wait when the run has failed, or this node is to stop."""
        ...


def for_update(run: RunConfig, backend: Packs) -> int:
    """Bytes that a node writes for one attempt: its ciphertexts, and the state of its model."""
    return largest_update(run, backend) + for_state(run)


def for_state(run: RunConfig) -> int:
    """Bytes that a node writes when it applies a sum: the state beside the one that it replaces."""
    return _SMALL + 8 * max(phase.parameters for phase in run.phases)


def wait_for_room(party: WaitingParty, folder: Path, needed: int, wanted: Callable[[], bool] = lambda: True) -> bool:
    """Wait until there is room.

    Args:
        party: This node; it tells what it waits for, ever more rarely.
        folder: Where it will write.
        needed: Bytes.
        wanted: Whether there is still something to wait for.

    Returns:
        Whether there is room; False where nothing is wanted any more.

    Raises:
        ProtocolError, Stopped: See `Party.require_going`.
    """
    since, note = time.monotonic(), 0.0
    while (free := free_bytes(folder)) < needed:
        party.require_going()
        if not wanted():
            return False
        if (waited := time.monotonic() - since) >= note:
            note = next_note(waited)
            told = f"{free / 1e6:.0f} MB are free and {needed / 1e6:.0f} MB are needed; waiting until there is room"
            party.tell(Event("waiting", text=f"{utc_now()} disk of {folder}: {told}"))
        party.client.patience.stop.wait(LOOK_S)
    return True
