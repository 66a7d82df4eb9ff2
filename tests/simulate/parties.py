"""The product's own node and aggregator, as processes of a simulation: what they find of the world is replaced.

A node is `node.take_part.take_part`, from its start kit to its saved model: ledger, journal, outbox, keys, pads,
ciphertexts, letters, countersignatures. Replaced are the connection (`tests.simulate.network`), time, threads, and what
is trained. An aggregator is what `aggregator.server` puts together, without its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.consortium.stage import Stage
from afml.core.errors import AfmlError, Outdated
from afml.core.files import hold_alone
from aggregator.engine import Engine
from aggregator.orders import Orders
from aggregator.publishing import Publisher
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.service import Service
from aggregator.store import open_store
from aggregator.summing import Summer
from aggregator.timekeeping import keep_time
from aggregator.transcript import Transcript
from aggregator.watchers import Watchers
from node.journal import progress
from node.keys import SHARED
from node.take_part import Part, Taken, take_part
from node.workspace import Workspace
from tests.simulate.actors import Event, Process
from tests.simulate.clock import EPOCH_S
from tests.simulate.network import Network
from tests.simulate.serving import Server
from tests.simulate.setting import Consortium

OWNER: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)
"""Whose task it is that runs on the event loop."""


_LATE = "enrolment of run r is closed"


class Pool:
    """The aggregator's adding processes, in its own."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> None:
        work(*given)

    def map(self, work: Callable[..., Any], *given: Iterable[Any]) -> Iterator[Any]:
        return map(work, *given)

    def shutdown(self, **_: object) -> None:
        pass


class Institution:
    """A node, started again whenever it ends before it is done.

    Attributes:
        taken: What came of it.
        work: The folder that is used.
        process: The one that runs now.
        twins: Processes on copies of the folder, and these.
        starts: How often it was started.
        errors: What ended its processes.
        slow_s: How long its next update takes.
    """

    def __init__(self, consortium: Consortium, node: int, root: Path, run_file: Path, loop: Any) -> None:
        self.node, self.work, self._loop = node, Workspace(root / f"work-{node}"), loop
        self.twins: dict[Process, Workspace] = {}
        self._others: list[Workspace] = []
        self._consortium, self._run_file = consortium, run_file
        for path in (self.work.data, self.work.root):
            path.mkdir(parents=True, exist_ok=True)
        for path in (self.work.people, self.work.card):
            path.touch()
        self.run: RunConfig = load_run(run_file, self.kit.history)
        self.taken: Taken | None = None
        self.process: Process | None = None
        self.stop = Event()
        self.starts, self.slow_s, self.full = 0, 0.0, False
        self.ahead_s = self.furthest_s = 0.0
        self.errors: list[BaseException] = []
        self._ended_by: BaseException | None = None
        self.gone_until = 0.0

    @property
    def kit(self) -> Any:
        return self._consortium.nodes[self.node]

    @property
    def ended(self) -> str:
        """Why its part is over for good; "" where it is not."""
        return progress(self.work.run(self.run.run))[1]

    @property
    def done(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.taken is not None or bool(self.ended) or self.late

    @property
    def late(self) -> bool:
        """Whether the run began without it."""
        return _LATE in str(self._ended_by)

    async def live(self, down_s: Callable[[], float]) -> None:
        """Until it is done; `down_s`: seconds until it is started again."""
        while not self.done:
            self.starts += 1
            self.stop = Event()
            self.process = Process(self._loop, self._failed)
            actor = self.process.spawn(partial(self._main, self.work, self.stop))
            assert actor.task is not None
            await asyncio.wait([actor.task])
            self.process.kill()
            if not self.done:
                if self._others and isinstance(self._ended_by, Outdated):
                    # What the operator is told to do: go on with the newer folder.
                    self._others.append(self.work)
                    self.work = self._others.pop(0)
                await asyncio.sleep(max(down_s(), self.gone_until - self._loop.time()))

    def clone(self) -> Workspace | None:
        """A copy of the folder as it is now; None before what peers are shown of its ledger, or the key of the run."""
        if not (self.work.run(self.run.run) / f"{SHARED}.key").exists() or not self.reserved():
            return None
        copy = Workspace(self.work.root.with_name(f"work-{self.node}-{self.starts}-{len(self._others)}"))
        shutil.copytree(self.work.root, copy.root)
        self._others.append(copy)
        return copy

    async def twin(self, work: Workspace, seconds: float) -> None:
        """Another process on a copy, for so long at most."""
        process = Process(self._loop, self._failed)
        self.twins[process] = work
        actor = process.spawn(partial(self._main, work, Event()))
        assert actor.task is not None
        await asyncio.wait([actor.task], timeout=seconds)
        process.kill()

    def folder_of(self, process: Process) -> Workspace:
        """The folder that one of its processes works in."""
        return self.twins.get(process, self.work)

    def reserved(self) -> bool:
        """Whether its ledger holds the reservation of the run, read beside the product."""
        path = self.work.ledger / "ledger.db"
        if not path.exists():
            return False
        with contextlib.closing(sqlite3.connect(path)) as ledger:
            try:
                return ledger.execute("SELECT 1 FROM entries WHERE kind = 'reservation'").fetchone() is not None
            except sqlite3.OperationalError:  # it has no tables yet
                return False

    def fill(self, full: bool) -> None:
        """Its disk has no space, or has again."""
        self.full = full

    def kill(self) -> None:
        """Power off; from the loop."""
        if self.process is not None and not self.process.dead:
            self.process.kill()

    def kill_all(self) -> None:
        """Power off, twins as well; from the loop."""
        self.kill()
        for process in self.twins:
            if not process.dead:
                process.kill()

    def _main(self, work: Workspace, stop: Event) -> None:
        part = Part(self._consortium.kit(self.node), work.root, self._run_file, "aggregator:1",
                    simulation=True, stop=stop)  # type: ignore[arg-type]  # fmt: skip
        try:
            self.taken = take_part(self.kit, part)
            self.work = work
        except (AfmlError, OSError) as error:
            self.errors.append(error)
            if work is self.work:
                self._ended_by = error

    def _failed(self, error: BaseException) -> None:
        self.errors.append(error)


class Aggregator:
    """The aggregator, likewise.

    Attributes:
        process: The one that runs now.
        backup: Its folder as it was at some time when it did not run.
        errors: What ended its processes.
    """

    def __init__(self, consortium: Consortium, root: Path, run: RunConfig, network: Network, loop: Any) -> None:
        self.folder, self.run, self._network, self._loop = Folder(root / "aggregator"), run, network, loop
        self._consortium = consortium
        self.process: Process | None = None
        self.slept_s, self.full = 0.0, False
        self.database: Any = None
        self.ahead_s = self.furthest_s = 0.0
        self.errors: list[BaseException] = []
        self.broken: list[BaseException] = []
        self.backup = root / "backup"
        self.published_then = -1
        self.gone_until = 0.0

    async def live(self, down_s: Callable[[], float]) -> None:
        """For ever; `down_s`: seconds until it is started again."""
        while True:
            self.process = Process(self._loop, self.errors.append)
            context = contextvars.copy_context()
            context.run(OWNER.set, self.process)
            task = self._loop.create_task(self._serve(self.process), context=context)
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                self.errors.append(error)
            self.kill()
            await asyncio.sleep(max(down_s(), self.gone_until - self._loop.time()))

    def kill(self) -> None:
        """Power off; from the loop."""
        if self.process is not None and not self.process.dead:
            self.process.kill()

    def fill(self, full: bool) -> None:
        """Its disk has no space, or has again: for files (see `World`), for the database by SQLite itself."""
        self.full = full
        if self.process is not None and not self.process.dead and self.database is not None:
            self.database.execute(f"PRAGMA max_page_count = {1 if full else 2**31 - 2}")

    def keep_backup(self) -> None:
        """Copy the folder of a process that does not run."""
        assert self.process is None or self.process.dead
        if self.folder.store.exists():
            shutil.rmtree(self.backup, ignore_errors=True)
            shutil.copytree(self.folder.root, self.backup)
            self.published_then = self.published()

    def restore(self) -> bool:
        """Put the copy back, where it knows of every sum that was published; whether it does."""
        if self.published_then < 0 or self.published_then != self.published():
            return False
        shutil.rmtree(self.folder.root)
        shutil.copytree(self.backup, self.folder.root)
        return True

    def published(self) -> int:
        """Rounds that are published; of a process that does not run."""
        with self.stored() as store:
            return int(store.rounds.last_published())

    @contextlib.contextmanager
    def stored(self) -> Iterator[Any]:
        """Its store, of a process that does not run."""
        with contextlib.closing(open_store(self.folder.store, self.run.digest())) as store:
            yield store

    async def _serve(self, process: Process) -> None:
        lock = hold_alone(self.folder.root, "afml aggregator")
        process.at_death.append(lambda: os.close(lock))
        scheme = Scheme.of(self.run)
        store = open_store(self.folder.store, self.run.digest())
        process.at_death.append(store.close)
        self.database = store._db
        self.fill(self.full)
        run = ServedRun(self.run, self._consortium.aggregator.roster, scheme, store, self.folder)
        wall = self._wall_ms
        engine = Engine(store, self.run, run.roster, lambda: self._loop.time() + self.slept_s, wall)
        watchers, transcript = Watchers(), Transcript(self.folder.transcript, self._consortium.aggregator.signing_key)
        publisher = Publisher(run, engine, Summer(1), transcript, watchers)
        service, orders = Service(run, engine, publisher, watchers), Orders(run, engine, transcript)
        server = Server(service, self.run.consortium, self.broken.append)
        process.at_death.append(server.close)
        self._network.server = server
        await keep_time(run, engine, publisher, watchers, orders)
        if store.position().stage is Stage.FAILED:
            await service.last_words()
        await asyncio.sleep(0.5)
        await watchers.close()
        await asyncio.sleep(0.5)

    def _wall_ms(self) -> int:
        return int((EPOCH_S + self._loop.time() + self.ahead_s) * 1000)
