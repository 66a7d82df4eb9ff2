"""What a node does in its run, written down every few seconds for `afml status`, and for nobody outside."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from afml import __version__
from afml.consortium.inforce import ends
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from afml.core.logging import at_round
from afml.core.progress import Event, Kind, text_of
from afml.core.standing import BEAT_S, Standing


class PartStanding(Standing):
    """A node's part in a run.

    Attributes:
        run: Name of the run.
        node: Its number.
        address: Of the aggregator, host:port.
        kind: Of the last event; "" before the first.
        doing: What it does, as its terminal says.
        since: When it began to do that.
        round: The last round that it said something of; 0 before the first.
        rounds: Of the whole run.
        expected: When the public part will be made, where this node makes it, at its pace so far: Unix seconds; 0 else.
    """

    run: str
    node: int
    address: str
    kind: Kind | str = ""
    doing: str = ""
    since: float
    round: int = 0
    rounds: int
    expected: float = 0.0


@dataclass(frozen=True)
class Place:
    """Whose part it is, and where it is written down.

    Attributes:
        kit: The node's.
        run: The run.
        address: Of the aggregator.
        folder: The node's run folder.
    """

    kit: NodeKit
    run: RunConfig
    address: str
    folder: Path


class Keeper:
    """Is told events, and keeps a standing as long as its process lives.

    Nothing is written before the first event: until then another process may have the run folder.

    Attributes:
        seen: The newest standing.
    """

    def __init__(self, place: Place) -> None:
        now = time.time()
        self._folder, self._lock, self._over = place.folder, threading.Lock(), threading.Event()
        self._kit = place.kit
        self.seen = PartStanding(
            run=place.run.run,
            consortium=place.run.consortium,
            version=__version__,
            started=now,
            written=now,
            certificate_expires=place.kit.tls.expires.timestamp(),
            node=place.kit.node,
            address=place.address,
            since=now,
            rounds=place.run.rounds,
        )

    def told(self, event: Event) -> None:
        """The node does something else from now on; steps of the public part are written at the next beat."""
        at_round(event.round)
        now, same = time.time(), event.kind == "public" and self.seen.kind == "public"
        since, expected = self.seen.since if same else now, 0.0
        if same and event.step:
            expected = now + (now - since) / event.step * (event.steps - event.step)
        changes = {"kind": event.kind, "doing": text_of(event), "round": event.round or self.seen.round}
        with self._lock:
            self.seen = self.seen.model_copy(update={**changes, "since": since, "expected": expected})
        if not same:
            self._keep()

    def ended(self, why: str) -> None:
        """The node's part is over, well or badly."""
        self._over.set()
        with self._lock:
            self.seen = self.seen.model_copy(update={"ended": why})
        self._keep()

    def beat(self) -> None:
        """Write now and then until the part is over."""
        while not self._over.wait(BEAT_S):
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            expires = ends(self._kit.folder, self.seen.certificate_expires)
            self.seen = self.seen.model_copy(update={"written": time.time(), "certificate_expires": expires})
            if self.seen.kind:
                self.seen.keep(self._folder)


@contextlib.contextmanager
def kept(place: Place) -> Iterator[Keeper]:
    """A keeper whose standing says, once the block has ended, how it did."""
    keeper = Keeper(place)
    threading.Thread(target=keeper.beat, name="standing", daemon=True).start()
    try:
        yield keeper
    except AfmlError as error:
        keeper.ended(str(error))
        raise
    except BaseException:
        keeper.ended("was interrupted")
        raise
    keeper.ended("finished")
