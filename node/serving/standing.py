"""What the daemon does with each run, written down every few seconds for `afml status`, and for nobody outside."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from afml import __version__
from afml.consortium.inforce import ends
from afml.consortium.nodekit import NodeKit
from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.standing import BEAT_S, Standing
from node.standing import PartStanding
from node.workspace import Workspace

State: TypeAlias = Literal["running", "waiting", "aside", "refused"]


class RunHere(Settings):
    """A run that is not over here.

    Attributes:
        run: Its name.
        state: "running" in a process of its own; "waiting" for a place, or to be started again; "aside" until
            somebody has looked and starts the daemon again; "refused": on offer, and not taken.
        why: Why it does not run; "" where it does.
        work: Folder that it is played in; "" where it was not taken.
    """

    run: str
    state: State
    why: str
    work: str


class ServeStanding(Standing):
    """The daemon.

    Attributes:
        node: Its institution's number.
        address: Of the aggregator.
        answered: When it last said which runs it has, Unix seconds; 0 for never.
        problem: Why it does not; "" where it does.
        at_once: Runs that are played at a time.
        draining: It was asked to stop, and waits for its runs.
        ledger: Folder of the institution's ledger; "" for that of the one work folder.
        works: Work folders.
        runs: That are not over.
    """

    file: ClassVar[str] = "serving.json"

    node: int
    address: str
    answered: float = 0.0
    problem: str = ""
    at_once: int
    draining: bool = False
    ledger: str
    works: tuple[str, ...]
    runs: tuple[RunHere, ...] = ()

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(one.state == state for one in self.runs)

    def parts(self) -> Iterator[PartStanding]:
        """What the processes that play runs say of themselves."""
        for one in self.runs:
            if one.state == "running":
                with contextlib.suppress(InputError):  # it has said nothing yet
                    yield PartStanding.found(Workspace(Path(one.work)).run(one.run))


class Keeper:
    """Writes a standing down whenever it changes, and every few seconds.

    Attributes:
        seen: The newest.
    """

    def __init__(self, folder: Path, kit: NodeKit, first: Callable[[float], ServeStanding]) -> None:
        self._folder, self._kit, self._lock, self._over = folder, kit, threading.Lock(), threading.Event()
        self.seen = first(time.time())

    def changed(self, **fields: object) -> None:
        """Some of it is otherwise now."""
        if any(getattr(self.seen, name) != value for name, value in fields.items()):
            self._keep(fields)

    def beat(self) -> None:
        """Write now and then until the end."""
        while not self._over.wait(BEAT_S):
            self._keep({})

    def end(self, why: str) -> None:
        """The daemon is gone."""
        self._over.set()
        self._keep({"ended": why})

    def _keep(self, fields: dict[str, object]) -> None:
        with self._lock:
            expires = ends(self._kit.folder, self.seen.certificate_expires)
            now = {"written": time.time(), "certificate_expires": expires}
            self.seen = self.seen.model_copy(update=fields | now)
            self.seen.keep(self._folder)


def began(kit: NodeKit, now: float) -> dict[str, object]:
    """The fields that every process has, of one that begins now."""
    return {
        "consortium": kit.roster.consortium,
        "version": __version__,
        "started": now,
        "written": now,
        "certificate_expires": kit.tls.expires.timestamp(),
        "node": kit.node,
    }
