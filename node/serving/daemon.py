"""The daemon: looks which runs are for its institution, takes those that the site admits, plays several at once.

Each run is `afml node` in a process of its own, over the work folder that was declared for it: what this process loses
when it is killed is nothing, since what was taken is on disk before its first process begins, and a run's own state is
where it always is. What decides on a run that was taken is how its process ended and what it left behind.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import RunConfig
from afml.core.children import complaint
from afml.core.errors import AfmlError, IntegrityError, TransportError
from node.guard import open_ledger
from node.policy import load as load_policy
from node.serving.admission import admit, consider, read
from node.serving.child import Child
from node.serving.declared import Declared
from node.serving.offers import Offer, Offers
from node.serving.shelf import Shelf, Taken
from node.serving.standing import Keeper, RunHere, ServeStanding, began

TICK_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0
"""Seconds before a run whose process has failed is started again: the first time, and at most."""
SOON_S = 1.0
"""Seconds to the next look where a run waits for what is about to be there."""
_NO_PLACE = "every place is taken"
_SOMEBODY_MUST_LOOK = (0, IntegrityError.exit_code)
"""Codes after which a run that is not over is not started again: stopped by hand; something was forged or forgotten."""


@dataclass(frozen=True)
class Post:
    """What the daemon was told.

    Attributes:
        kit: The node's start kit.
        declared: The aggregator's address, and which data serve which task.
        folder: The daemon's own.
        at_once: Runs that are played at a time.
        every_s: Seconds between two looks which runs there are.
        simulation: Seeded runs are meant.
    """

    kit: Path
    declared: Declared
    folder: Path
    at_once: int
    every_s: float
    simulation: bool = False


@dataclass(eq=False)
class _Played:
    """A run that was taken and is not over."""

    taken: Taken
    child: Child | None = None
    failures: int = 0
    due: float = 0.0  # monotonic seconds
    aside: bool = False
    why: str = ""

    def here(self) -> RunHere:
        state = "running" if self.child else "aside" if self.aside else "waiting"
        why = "" if self.child else self.why or _NO_PLACE
        return RunHere.model_validate(
            {"run": self.taken.run, "state": state, "why": why, "work": str(self.taken.work.root)}
        )


@dataclass
class Daemon:
    """One institution's.

    Args:
        post: What it was told.
        kit: This node's.
        held: Handle of the lock of its folder.
        say: Told what happens to runs, a line each.
    """

    post: Post
    kit: NodeKit
    held: int
    say: Callable[[str], None]
    _said: dict[str, str] = field(default_factory=dict)  # of a run, or "" for the daemon: the last line
    _open: dict[bytes, RunHere] = field(default_factory=dict)  # on offer and not taken, by digest
    _next: float = 0.0
    _soon: bool = False

    def __post_init__(self) -> None:
        """Stand where the daemon stood that had the folder before.

        Raises:
            AfmlError: No policy, no daemon; folders are not prepared, or the ledger is gone or another's.
        """
        load_policy(self.post.kit)
        declared = self.post.declared
        declared.require_ready(self.kit)
        open_ledger(declared.works[0][0], self.kit, declared.ledger).close()  # one process begins it
        self._shelf = Shelf(self.post.folder)
        everything = self._shelf.taken()
        self._known = {one.digest for one in everything}
        self._played = [_Played(one) for one in everything if not one.over]
        for one in everything:
            if over := one.over:
                one.end(over)
        self._offers = Offers(declared.aggregator, self.kit)
        self.keeper = Keeper(self.post.folder, self.kit, self._first)

    def work(self, stop: threading.Event) -> None:
        """Play runs until it is asked to stop, and then until each process has finished what it has paid for."""
        threading.Thread(target=self.keeper.beat, name="serving", daemon=True).start()
        ended = "was interrupted"
        try:
            while not stop.is_set():
                self._round()
                stop.wait(TICK_S)
            self._drain()
            ended = "stopped as it was asked to"
        except AfmlError as error:
            ended = str(error)
            raise
        finally:
            for one in self._running():
                one.end()
            self._offers.close()
            self.keeper.end(ended)

    # -- one turn ------------------------------------------------------------------------------------

    def _round(self) -> None:
        self._settle()
        self._start()
        if time.monotonic() >= self._next:
            self._soon = False
            self._look()
            self._next = time.monotonic() + (min(SOON_S, self.post.every_s) if self._soon else self.post.every_s)
        self._keep()

    def _settle(self, *, draining: bool = False) -> None:
        """See which processes have ended, and what that means for their runs."""
        for one in list(self._played):
            if one.child is None or (code := one.child.code()) is None:
                continue
            one.child, told, self._next = None, complaint(one.taken.log), 0.0  # there is a place, perhaps more budget
            if over := one.taken.over:
                one.taken.end(over)
                self._played.remove(one)
                self._tell(one.taken.run, over if over == "finished" and code == 0 else f"is over: {told or over}")
                continue
            if draining:
                one.why = "stopped with the daemon"
                continue
            one.why = f"its process ended by signal {-code}" if code < 0 else told or f"ended with code {code}"
            one.aside = code in _SOMEBODY_MUST_LOOK
            one.failures += 1
            one.due = time.monotonic() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (one.failures - 1))
            then = "put aside until this daemon is started again" if one.aside else "will be started again"
            self._tell(one.taken.run, f"{then}: {one.why}")

    def _start(self) -> None:
        """Start what is due, as many as there are places, in the order in which they were taken."""
        for one in self._played:
            if len(self._running()) >= self.post.at_once:
                return
            if one.child is None and not one.aside and time.monotonic() >= one.due:
                if one.taken.work.root not in {work.root for work, _ in self.post.declared.works}:
                    one.aside, one.why = True, f"{one.taken.work.root} is declared no more"
                    self._tell(one.taken.run, f"put aside: {one.why}")
                    continue
                one.child = Child(self._command(one.taken), one.taken.log, self.held)

    def _look(self) -> None:
        """Ask which runs there are, and take what the site admits."""
        try:
            self.kit = load_node_kit(self.post.kit)  # with versions of the roster that were installed meanwhile
            load_policy(self.post.kit)
            offers = self._offers.served()
            self._tell("", f"looks for runs at {self.post.declared.aggregator}")
            self.keeper.changed(problem="", answered=time.time())
            new = {one.digest: one for one in offers if one.digest not in self._known}
            self._open = {digest: here for digest, here in self._open.items() if digest in new}
            for offer in new.values():
                self._consider(offer)
        except AfmlError as error:
            self._tell("", f"no further run is taken: {error}")
            self.keeper.changed(problem=str(error))
            return
        self._shelf.forget(but=[digest for digest in new if digest not in self._known])
        named = {"", *(one.run for one in self._here())}
        self._said = {run: line for run, line in self._said.items() if run in named}

    def _consider(self, offer: Offer) -> None:
        """Take a run on offer, or say why not."""
        name = f"on offer ({offer.digest.hex()[:12]})"
        try:
            run = self._read(offer)
            name = run.run
            admitted = admit(run, self.kit, self.post.declared, simulation=self.post.simulation)
            if sum(not one.aside for one in self._played) >= self.post.at_once:
                self._open[offer.digest] = RunHere(run=name, state="waiting", why=_NO_PLACE, work="")
                return
            beginning = [one.taken.run for one in self._played if one.child]
            if first := consider(admitted, self.post.declared.ledger, beginning=beginning):
                why = f"until run {first} has set its plan aside"
                self._open[offer.digest] = RunHere(run=name, state="waiting", why=why, work="")
                self._soon = True
                return
            taken = self._shelf.take(run, admitted.work, time.time())
        except TransportError:
            raise  # the aggregator has gone meanwhile
        except (AfmlError, OSError, sqlite3.OperationalError) as error:
            self._open[offer.digest] = RunHere(run=name, state="refused", why=str(error), work="")
            self._tell(name, f"refused: {error}")
            return
        self._known.add(offer.digest)
        self._open.pop(offer.digest, None)
        self._played.append(_Played(taken))
        self._tell(name, f"taken, with the data of {admitted.work.root}")
        self._start()

    def _read(self, offer: Offer) -> RunConfig:
        """A run on offer, signed by the coordinator: nothing else stays on this disk."""
        path = self._shelf.offered(offer.digest)
        if not path.exists():
            path = self._shelf.lay(offer.digest, self._offers.papers(offer))
        try:
            return read(path, offer.digest, self.kit)
        except AfmlError:
            self._shelf.drop(offer.digest)
            raise

    def _drain(self) -> None:
        """Have every process finish what it has paid for, and wait for all of them."""
        running = self._running()
        count = len(running)
        runs = f"{count} run has" if count == 1 else f"{count} runs have"
        self._tell("", f"stops, when {runs} finished what was paid for" if running else "stops: no run is under way")
        self.keeper.changed(draining=True)
        for one in running:
            one.stop()
        while self._running():
            self._settle(draining=True)
            self._keep()
            time.sleep(TICK_S)

    # -- inside --------------------------------------------------------------------------------------

    def _running(self) -> list[Child]:
        return [one.child for one in self._played if one.child is not None]

    def _command(self, taken: Taken) -> list[object]:
        declared = self.post.declared
        ledger = [] if declared.ledger is None else ["--ledger", declared.ledger]
        return ["node", "--kit", self.post.kit, "--work", taken.work.root, "--run", taken.run_file,
                "--aggregator", declared.aggregator, *ledger,
                *(["--simulation"] if self.post.simulation else [])]  # fmt: skip

    def _tell(self, run: str, line: str) -> None:
        """Say something of a run, unless the same was said last."""
        if self._said.get(run) != line:
            self._said[run] = line
            self.say(f"run {run}: {line}" if run else line)

    def _keep(self) -> None:
        self.keeper.changed(runs=tuple(self._here()))

    def _here(self) -> Iterator[RunHere]:
        """Every run that is not over here."""
        yield from (one.here() for one in self._played)
        yield from self._open.values()

    def _first(self, now: float) -> ServeStanding:
        declared = self.post.declared
        return ServeStanding.model_validate({
            **began(self.kit, now), "address": declared.aggregator, "at_once": self.post.at_once,
            "ledger": str(declared.ledger or ""), "works": tuple(str(work.root) for work, _ in declared.works),
        })  # fmt: skip
