"""Many runs in one process: those that were submitted wait in their order, several are served at once.

A run is served until it is settled; then the next one's turn has come. One that is over stays on offer for nodes that
were away: it is opened again when somebody asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.kit import AggregatorKit, party_uri
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.consortium.scheme import run_params
from afml.consortium.space import aggregator_bytes, require_space
from afml.core.errors import AfmlError, ProtocolError, TransportError
from afml.core.files import write_bytes
from afml.core.logging import get_logger
from afml.wire import federation_pb2 as wire
from aggregator.desk import Desk
from aggregator.ownkit import OwnKit
from aggregator.run import RUNS, Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.service import Service
from aggregator.store import open_store
from aggregator.store.base import Store, Taken
from aggregator.store.queue import Papers, Queue, Submitted
from aggregator.summing import Summer
from crypto.public.backend import public_backend

MOST_QUEUED = 1000
_CONFIG, _SIGNATURE = "run.json", "run.sig"
_TICK_S, _AGAIN_S = 0.2, 2.0
_ON_OFFER = 8  # runs that are over and open
_ASIDE, _LOOK = "was put aside", "whoever operates the aggregator finds the reason in its log, and starts it again"


class NotYet(AfmlError):
    """A run is not served now, and may be later: whoever asks for it waits."""

    exit_code = 4


@dataclass(frozen=True)
class Place:
    """Where and how an aggregator serves.

    Attributes:
        root: Its folder.
        store: URL of the database that keeps the runs; "" for a file in each run's folder.
        address: host:port.
        at_once: Runs that are served at a time.
    """

    root: Path
    store: str
    address: str
    at_once: int


@dataclass(frozen=True)
class _Opened:
    desk: Desk
    store: Store


class Office:
    """The runs of one consortium at one aggregator.

    Args:
        kit: The aggregator's keys.
        place: Where and how it serves.
        queue: What is remembered of the runs.
        summer: Adds the updates of all of them.

    Attributes:
        kit: The kit, with the newest version of the roster that is installed.
    """

    def __init__(self, kit: AggregatorKit, place: Place, queue: Queue, summer: Summer) -> None:
        self.kit, self._place, self._queue, self._summer = OwnKit(kit), place, queue, summer
        self._opened: dict[int, _Opened] = {}  # by number; the one that was asked for last at the end
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._put_aside: set[int] = set()
        self._enrolled: dict[int, frozenset[int]] = {}  # by number: nodes

    # -- what is asked of it -------------------------------------------------------------------------

    def submit(self, papers: Papers) -> wire.RunPlace:
        """Take a run, or say where one is that was taken before.

        Raises:
            ProtocolError: It is no run of this consortium, signed by its coordinator, that can be served here; another
                run has its name; too many are waiting; or it was put aside.
        """
        config = self._read(papers)
        known = {one.run: one for one in self._queue.all()}
        if config.run not in known:
            if sum(not one.over for one in known.values()) >= MOST_QUEUED + self._place.at_once:
                raise ProtocolError("too many runs are waiting", where=f"run {config.run}", cure="submit it later")
            self._queue.add(config.run, config.digest(), papers)
            get_logger().info("submitted", run=config.run)
        elif known[config.run].digest != config.digest():
            cure = "give it another name with `afml configure --run`"
            raise ProtocolError("another run of this name was submitted before", where=f"run {config.run}", cure=cure)
        self._begin()
        return self._turn(config.digest())

    def service(self, run: str, digest: bytes, caller: Collection[str]) -> Service:
        """Who answers calls about a run.

        Args:
            run, digest: Of the run.
            caller: Names in the caller's certificate.

        Raises:
            ProtocolError: The run enrols no node of these names: they open nothing.
            NotYet: It was not submitted here, its turn has not come, or it was put aside.
            TransportError: The database that keeps it lets nobody in.
            AfmlError: What is kept of it cannot be opened.
        """
        found = {one.digest: one for one in self._queue.all()}.get(digest)
        if found is None:
            raise NotYet(f"run {run} was not submitted here; the coordinator does it with `afml run submit`")
        # By its number alone, of whichever version of the roster: the run's own service looks closer.
        consortium = self.kit().roster.consortium
        if {party_uri(consortium, f"node/{node}") for node in self._nodes(found)}.isdisjoint(caller):
            raise ProtocolError(f"the certificate is of no node of run {run}")
        if found.number in self._opened:
            if found.over:
                self._opened[found.number] = self._opened.pop(found.number)
            return self._opened[found.number].desk.service
        if found.number in self._put_aside:
            raise NotYet(f"run {found.run} {_ASIDE}; {_LOOK}")
        if found.number in self._tasks:
            raise NotYet(f"run {found.run} is being opened")
        if not found.over:
            raise NotYet(f"run {found.run} waits for its turn, behind {self._turn(digest).before} others")
        return self._open(found).desk.service

    def offered(self, node: int) -> list[tuple[Submitted, wire.RunPlace]]:
        """The runs that enrol a node and are neither over nor put aside, in their order, and what becomes of each."""
        there = [one for one in self._queue.all() if not one.over and one.number not in self._put_aside]
        return [(one, self._turn(one.digest)) for one in there if node in self._nodes(one)]

    def papers(self, node: int, digest: bytes) -> Papers:
        """What a run was submitted as, for a node that it enrols.

        Raises:
            ProtocolError: None of this digest is here, or it does not enrol the node.
        """
        for one in self._queue.all():
            if one.digest == digest and node in self._nodes(one):
                return self._queue.papers(one.number)
        raise ProtocolError(f"no run of this digest that enrols node {node} was submitted here")

    # -- its work ------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Serve the runs, for ever.

        Raises:
            Lost: The runs are another process's by now.
        """
        try:
            while True:
                self._begin()
                for number, task in list(self._tasks.items()):
                    if task.done():
                        del self._tasks[number]
                        task.result()
                await self._close_least_wanted()
                await asyncio.sleep(_TICK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await asyncio.gather(*map(self._close, list(self._opened)))

    def _begin(self) -> None:
        """Begin with the runs whose turn has come."""
        for one in self._queue.all():
            if len(self._tasks) >= self._place.at_once:
                return
            if not one.over and one.number not in self._tasks and one.number not in self._put_aside:
                self._tasks[one.number] = asyncio.create_task(self._serve(one))

    async def _serve(self, one: Submitted) -> None:
        log = get_logger().bind(run=one.run)
        while True:
            try:
                await self._open(one).desk.to_its_end()
                self._queue.end(one.number)
                log.info("over")
                return
            except (Taken, TransportError) as error:  # by a process before this one, or its database lets nobody in
                log.warning("standing by", problem=error.problem)
            except OSError as error:  # no space for a sum, or the store is gone: from there it goes on again
                log.error("cannot be kept", problem=error.strerror or str(error))
            except AfmlError as error:
                self._put_aside.add(one.number)
                log.error("not served until this aggregator is started again", problem=str(error))
                await self._close(one.number)
                return
            await self._close(one.number)
            await asyncio.sleep(_AGAIN_S)

    def _open(self, one: Submitted) -> _Opened:
        folder = Folder(self._place.root / RUNS / one.run)
        config = load_run(self._laid_out(self._queue.papers(one.number), folder.root), self.kit().history)
        kit = self.kit().under(config)
        scheme = Scheme.of(config)
        store = open_store(self._place.store or folder.store, one.digest)
        try:
            run = ServedRun(config, kit.roster, scheme, store, folder)
            self._opened[one.number] = _Opened(Desk(run, kit, self._summer, self._place.address), store)
        except BaseException:
            store.close()
            raise
        get_logger().info("serving", run=one.run, address=self._place.address)
        return self._opened[one.number]

    async def _close(self, number: int) -> None:
        if (one := self._opened.pop(number, None)) is not None:
            with contextlib.closing(one.store):
                try:
                    with contextlib.suppress(OSError):
                        await one.desk.leave()
                finally:  # also where the store is lost: else nodes would follow a desk that hears of nothing any more
                    await one.desk.drop()
                    await one.desk.stop()

    async def _close_least_wanted(self) -> None:
        on_offer = [number for number in self._opened if number not in self._tasks]
        await asyncio.gather(*map(self._close, on_offer[:-_ON_OFFER]))  # together: each lets its nodes read the last

    # -- inside --------------------------------------------------------------------------------------

    def _nodes(self, one: Submitted) -> frozenset[int]:
        """Whom a run enrols."""
        if one.number not in self._enrolled:
            papers = self._queue.papers(one.number)  # read with care when it was submitted
            self._enrolled[one.number] = frozenset(RunConfig.model_validate_json(papers.config).enrolled)
        return self._enrolled[one.number]

    def _turn(self, digest: bytes) -> wire.RunPlace:
        before = 0
        for one in self._queue.all():
            if one.digest == digest:
                if one.number in self._put_aside:
                    raise ProtocolError(_ASIDE, where=f"run {one.run}", cure=_LOOK)
                if one.over or one.number in self._tasks:
                    return wire.RunPlace(turn=wire.TURN_OVER if one.over else wire.TURN_SERVED)
                return wire.RunPlace(turn=wire.TURN_QUEUED, before=before)
            before += not one.over and one.number not in self._tasks and one.number not in self._put_aside
        raise KeyError(digest)

    def _read(self, papers: Papers) -> RunConfig:
        with _scratch(self._place.root) as folder:
            try:
                config = load_run(self._laid_out(papers, folder), self.kit().history)
                self.kit().under(config)
                run_params(config)
                require_space(self._place.root, aggregator_bytes(config, public_backend(config.backend)))
            except AfmlError as error:
                raise ProtocolError(error.problem, where="the run that was submitted", cure=error.cure) from None
        return config

    def _laid_out(self, papers: Papers, folder: Path) -> Path:
        """What the queue holds stands: a folder may be left from another run of that name, under a queue of before."""
        for name, content in ((_SIGNATURE, papers.signature), (_CONFIG, papers.config)):
            path = folder / name
            if not path.exists() or path.read_bytes() != content:
                write_bytes(path, content)
        return folder / _CONFIG


@contextlib.contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".submitted.", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
