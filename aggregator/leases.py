"""Which process speaks for each node: one at a time, for as long as it follows the run's announcements.

Two processes with copies of one work folder would undo each other's work. Whoever is there stays: another process
is refused and told of the first, as long as that one's stream of announcements is open. Nothing here protects a
secret: pads are bound to a process by the nodes themselves (docs/design/twins.md).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from afml.consortium.lease import require_lease
from afml.core.errors import Twin


@dataclass
class _Process:
    lease: bytes
    address: str
    streams: int = 0
    since: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    heard: float = field(default_factory=time.time)


class Leases:
    """The processes that speak for the nodes of one run."""

    def __init__(self) -> None:
        self._held: dict[int, _Process] = {}

    def require_free(self, node: int, lease: bytes) -> None:
        """Refuse to hear a process while another one speaks for its node.

        Raises:
            ProtocolError: `lease` is none.
            Twin: Another one does; says since when and from where.
        """
        require_lease(lease, node)
        held = self._held.get(node)
        if held is not None and held.lease != lease and held.streams:
            raise Twin(
                f"another process takes part for node {node}, since {held.since:%Y-%m-%d %H:%M:%SZ} from "
                f"{held.address}: a copy of its work folder is in use there"
            )

    def claim(self, node: int, lease: bytes, address: str) -> None:
        """From now on this process speaks for the node, whose signature over its nonce was checked.

        Raises:
            ProtocolError, Twin: As `require_free`.
        """
        self.require_free(node, lease)
        if node not in self._held or self._held[node].lease != lease:
            self._held[node] = _Process(lease, address)

    def holds(self, node: int, lease: bytes) -> bool:
        """Whether this process speaks for the node."""
        return node in self._held and self._held[node].lease == lease

    @contextlib.contextmanager
    def following(self, node: int) -> Iterator[None]:
        """The process that speaks for the node follows the run: nobody else does until it ends."""
        held = self._held[node]
        held.streams += 1
        try:
            yield
        finally:
            held.streams -= 1
            held.heard = time.time()

    def absent(self, node: int, began: float) -> float | None:
        """Since when no process of a node follows the run, Unix seconds; None while one does.

        Args:
            node: Which.
            began: When this aggregator began to listen: since then nothing was heard of a node that holds no lease.
        """
        held = self._held.get(node)
        if held is None:
            return began
        return None if held.streams else held.heard
