"""Where the run of an aggregator stands and whom it waits for: read from its store, written down for `afml status`."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from afml import __version__
from afml.consortium.inforce import ends
from afml.consortium.makers import PUBLIC_PART
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.config import Settings
from afml.core.errors import AfmlError, InputError
from afml.core.standing import BEAT_S, Standing
from aggregator.engine import Engine
from aggregator.leases import Leases
from aggregator.run import ServedRun
from aggregator.store.base import Store
from aggregator.waiting import awaited

LOOK_S = 1.0
"""Seconds between two looks at the store."""
RECENT = 20
"""Rounds whose median says how long one takes."""

State: TypeAlias = Literal["not enrolled", "enrolled", "ready", "sending", "sent", "reported", "left"]


class NodeStanding(Settings):
    """One node as the aggregator sees it.

    Attributes:
        node: Its number.
        name: On the roster.
        state: What it has done for the present attempt; what it has become.
        awaited: Whether something of it is missing before the run can move on with everybody.
        absent: Since when no process of it is connected, Unix seconds; None where one is, or none is needed: of who has
            not enrolled, has left, or has reported, and once the run has failed.
    """

    node: int
    name: str
    state: State
    awaited: bool = False
    absent: float | None = None


class RunStanding(Standing):
    """A run as its aggregator sees it.

    Attributes:
        run: Its name.
        address: Where it is served, host:port.
        stage: See `afml.consortium.stage`.
        since: When that stage of that attempt was entered.
        round: The round it is about, from 1; 0 while nodes enrol.
        attempt: Of that round.
        rounds: Of the whole run.
        phase: That the round belongs to; "" while nodes enrol.
        published: Rounds whose sum is published.
        quorum: Fewest nodes in a sum.
        reason: Why it came to this stage, where there is more to say than the stage does.
        nodes: Every node of the run, ascending.
        round_seconds: Median over the last rounds that this process published; None before the first.
        update_bytes: Bytes on the wire of the largest update of the last complete uploads; 0 before the first.
        parameters: Length of the longest update, as the run declares it.
        public: Whether the task's public part, which one node makes between two rounds or after the last one, is to
            come or under way; "" where there is none, or it is made.
    """

    run: str
    address: str
    stage: Stage
    since: float
    round: int
    attempt: int
    rounds: int
    phase: str
    published: int
    quorum: int
    reason: str
    nodes: tuple[NodeStanding, ...]
    round_seconds: float | None
    update_bytes: int
    parameters: int
    public: Literal["", "to come", "under way"] = ""

    @property
    def awaited(self) -> tuple[NodeStanding, ...]:
        """Nodes that something is missing of."""
        return tuple(node for node in self.nodes if node.awaited)

    @property
    def seconds_of_rounds(self) -> float | None:
        """How long the rounds to come take at the pace of the last ones; None before the first, and once it is over."""
        if self.round_seconds is None or self.stage.over:
            return None
        return (self.rounds - self.published) * self.round_seconds

    @property
    def seconds_left(self) -> float | None:
        """How long the run takes from here; None as well as long as nobody knows how long the public part will."""
        return None if self.public else self.seconds_of_rounds


@dataclass(frozen=True)
class Serving:
    """What is known of a process that serves.

    Attributes:
        address: host:port.
        certificate_expires: Unix seconds, of the certificate that it began with.
        started: Likewise.
        kit: Where later ones lie.
    """

    address: str
    certificate_expires: float
    started: float
    kit: Path | None = None


class Lookout:
    """Looks at the store and writes down what it sees.

    Args:
        run: What is served.
        engine: Of it: how long its rounds took.
        serving: This process.
        leases: Which processes speak for the nodes.
    """

    def __init__(self, run: ServedRun, engine: Engine, serving: Serving, leases: Leases) -> None:
        self._run, self._engine, self._serving, self._leases = run, engine, serving, leases
        self._seen = self._first()

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look and write while the block runs; at its end, write how it ended."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        except asyncio.CancelledError:
            self._end()
            raise
        except BaseException as error:
            self.look(ended=str(error) if isinstance(error, AfmlError | OSError) else type(error).__name__)
            raise
        else:
            self._end()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def look(self, *, ended: str = "") -> None:
        """Look once; write where something has changed or the last writing is long ago.

        Args:
            ended: Why this process stops.
        """
        now, before = time.time(), self._seen
        found = self._standing(now, before, ended)
        if found != before.model_copy(update={"written": now}) or now - before.written >= BEAT_S:
            found.keep(self._run.folder.root)
            self._seen = found

    def _end(self) -> None:
        at = self._run.store.position()
        self.look(ended=at.stage.value if at.stage.over else "stopped")

    async def _keep(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def _first(self) -> RunStanding:
        """The first look; a process before this one may have seen updates."""
        now = time.time()
        try:
            before = RunStanding.found(self._run.folder.root)
        except InputError:
            before = None
        found = self._standing(now, before, "")
        found.keep(self._run.folder.root)
        return found

    def _standing(self, now: float, before: RunStanding | None, ended: str) -> RunStanding:
        config, store, at = self._run.config, self._run.store, self._run.store.position()
        recent = self._engine.round_seconds[-RECENT:]
        return RunStanding(
            run=config.run,
            consortium=config.consortium,
            version=__version__,
            started=self._serving.started,
            written=now,
            ended=ended,
            certificate_expires=ends(self._serving.kit, self._serving.certificate_expires),
            address=self._serving.address,
            stage=at.stage,
            since=at.since_ms / 1000,
            round=at.attempt.round,
            attempt=at.attempt.number,
            rounds=config.rounds,
            phase=config.phase_of(at.attempt.round)[1].name if at.attempt.round else "",
            published=store.rounds.last_published(),
            quorum=config.quorum,
            reason=at.cause.text(config.quorum) if at.cause else "",
            nodes=nodes_of(self._run, lambda node: self._leases.absent(node, self._serving.started)),
            round_seconds=round(statistics.median(recent), 3) if recent else None,
            update_bytes=self._update_bytes(before.update_bytes if before else 0),
            parameters=max(phase.parameters for phase in config.phases),
            public=_public_part(config, store),
        )

    def _update_bytes(self, before: int) -> int:
        uploads = self._run.store.attempts.uploads(self._run.store.position().attempt)
        return max((upload.bytes for upload in uploads.values()), default=before)


def _public_part(config: RunConfig, store: Store) -> Literal["", "to come", "under way"]:
    maker = store.makers.all().get(PUBLIC_PART)
    if not config.public_part or (maker is not None and maker.done):
        return ""
    return "to come" if maker is None else "under way"


def nodes_of(run: ServedRun, absent: Callable[[int], float | None]) -> tuple[NodeStanding, ...]:
    """Every node of the run, ascending: what it has done for the present attempt, and whether it is waited for.

    Args:
        run: What is served.
        absent: Since when no process of a node is connected, Unix seconds; None where one is.
    """
    store = run.store
    at, members = store.position(), store.members.all()
    ready, cohort = store.attempts.tokens(at.attempt), store.attempts.cohort(at.attempt)
    sent = store.attempts.uploads(at.attempt)
    reported = store.rounds.digests(run.config.rounds) if at.stage is Stage.FINISHED else {}
    names = run.roster.names

    def state(node: int) -> State:
        if node not in members:
            return "not enrolled"
        if members[node].left is not None:
            return "left"
        if at.stage is Stage.FINISHED:
            return "reported" if node in reported else "enrolled"
        if node in sent:
            return "sent"
        return "sending" if node in cohort else "ready" if node in ready else "enrolled"

    waited = awaited(store, run.config)

    def standing(node: int) -> NodeStanding:
        at_node = state(node)
        needed = at_node not in ("not enrolled", "left", "reported") and at.stage is not Stage.FAILED
        gone = absent(node) if needed else None
        return NodeStanding(node=node, name=names.get(node, ""), state=at_node, awaited=node in waited, absent=gone)

    return tuple(standing(node) for node in run.config.nodes)
