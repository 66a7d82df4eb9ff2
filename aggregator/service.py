"""The gRPC surface: hands on what nodes say, and sends what they ask for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import grpc

from afml.core.errors import ProtocolError, TransportError
from afml.core.recordfile import read_records
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationServicer
from aggregator import announcements
from aggregator.calls import Calls, Context, Said, address
from aggregator.engine import Engine
from aggregator.leases import Leases
from aggregator.letters import Letters, require_subject
from aggregator.membership import Membership
from aggregator.publishing import Publisher
from aggregator.run import ServedRun
from aggregator.turns import Kind, Turn, Turns
from aggregator.uploads import Uploads
from aggregator.watchers import Watchers

Work: TypeAlias = Callable[[], None]
_LAST_WORDS_S = 10.0
SENDING_S = 60.0  # an update or a letter may take so long, or as long as its round may wait for a member
_LETTERS_S = 60.0  # a node that waits for letters asks again after this long at most
_TOGETHER_S = 0.05
Part = TypeVar("Part", wire.UpdatePart, wire.LetterPart)


class Service(FederationServicer):
    """One run, served to its nodes."""

    def __init__(self, run: ServedRun, engine: Engine, publisher: Publisher, watchers: Watchers) -> None:
        self._run, self._engine, self._watchers = run, engine, watchers
        self._publisher = publisher
        self._uploads, self.letters = Uploads(run, engine, publisher), Letters(run)
        self.letters.clear()
        self._members = Membership(run.store.members, run.config, run.roster)
        self._calls, self._turns = Calls(run), Turns()
        self._told: set[int] = set()
        self.leases = Leases()

    # -- unary calls ---------------------------------------------------------------------------------

    async def Enrol(self, request: wire.Enrolment, context: Context) -> wire.EnrolReply:
        """Join the run."""
        await self._speaking(context, request, lambda: self._engine.enrol(request))
        return wire.EnrolReply(nodes_expected=len(self._run.config.nodes))

    async def ListEnrolments(self, request: wire.RunRef, context: Context) -> wire.Enrolments:
        """All enrolments."""
        found: list[wire.Enrolment] = []

        def find() -> None:
            self._members.require_admitted(request)
            found.extend(announcements.enrolments(self._run.store))

        await self._do(context, request, find)
        return wire.Enrolments(enrolments=found)

    async def EnrolmentClosed(self, request: wire.RunRef, context: Context) -> wire.ClosedEnrolment:
        """Who is in the run for good, signed: a node of it that came too late need not ask again."""
        found = wire.ClosedEnrolment()

        def find() -> None:
            self._members.require_run(request)
            found.nodes.extend(sorted(one.node for one in announcements.enrolments(self._run.store)))
            found.signature = self._publisher.closed_enrolment(found.nodes)

        await self._do(context, request, find)
        return found

    async def Ready(self, request: wire.ReadyToken, context: Context) -> wire.Accepted:
        """Join an attempt."""
        await self._speaking(context, request, lambda: self._engine.ready(request))
        return wire.Accepted()

    async def Leave(self, request: wire.LeaveNotice, context: Context) -> wire.Accepted:
        """Leave the run."""
        await self._do(context, request, lambda: self._engine.leave(request, self._publisher.refused))
        return wire.Accepted()

    async def Away(self, request: wire.RunRef, context: Context) -> wire.Accepted:
        """Go, and perhaps come back."""

        def away() -> None:
            self.leases.require_free(request.node, request.lease)
            self._engine.away(request)

        await self._do(context, request, away)
        return wire.Accepted()

    async def Decline(self, request: wire.DeclineNotice, context: Context) -> wire.Accepted:
        """Give up an attempt."""
        await self._do(context, request, lambda: self._engine.decline(request))
        return wire.Accepted()

    async def ReportDigest(self, request: wire.ModelDigest, context: Context) -> wire.Accepted:
        """Report the keyed model digest."""
        await self._do(context, request, lambda: self._engine.report_digest(request))
        return wire.Accepted()

    async def UpdateProgress(self, request: wire.UpdateHeader, context: Context) -> wire.Progress:
        """How many chunks of an update are there."""
        found = wire.Progress()

        def look() -> None:
            found.chunks = self._uploads.received(request)

        await self._do(context, request, look)
        return found

    # -- streams -------------------------------------------------------------------------------------

    async def WatchRun(self, request: wire.RunRef, context: Context) -> AsyncIterator[wire.RunState]:
        """Every state, from the present one on, for the process that speaks for its node."""
        await self._do(context, request, lambda: self._check_follower(request))
        if not self.leases.holds(request.node, request.lease):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this process has not enrolled since the aggregator began")
        with self.leases.following(request.node), self._turns.taken(request.node, Kind.NEWS) as turn:
            await self._watchers.notify()  # an older stream of the node may have to end
            async for state in self._calls.told(context, self._news(request.node, turn)):
                yield state

    async def _news(self, node: int, turn: Turn) -> AsyncIterator[wire.RunState]:
        seen = -1

        def news() -> bool:
            return self._watchers.closing or turn.over or self._engine.version != seen

        while True:
            await self._watchers.until(news)
            if self._watchers.closing or turn.over:
                return
            seen = self._engine.version
            state = announcements.run_state(self._run.store, self._run.config)
            yield state
            if state.stage == wire.STAGE_FAILED:
                self._told.add(node)
                await self._watchers.notify()
                return

    async def SubmitUpdate(self, parts: AsyncIterator[wire.UpdatePart], context: Context) -> wire.Accepted:
        """Receive one update, chunk by chunk, onto disk."""

        async def work(node: int, stream: AsyncIterator[wire.UpdatePart]) -> None:
            header = (await _first(stream, "an update")).header
            self._calls.require_word(context, header)
            await self._in_time(node, self._uploads.receive(header, stream))

        await self._receive(context, Kind.UPDATE, parts, work)
        return wire.Accepted()

    async def PutLetter(self, parts: AsyncIterator[wire.LetterPart], context: Context) -> wire.Accepted:
        """Take a letter for other nodes."""

        async def work(node: int, stream: AsyncIterator[wire.LetterPart]) -> None:
            header = (await _first(stream, "a letter")).header
            self._calls.require(context, header.sender)
            said = wire.RunRef(run=header.run, config_digest=header.config_digest, node=header.sender)
            self._members.require_writing(said, header.subject)
            await self._in_time(node, self.letters.receive(header, stream))
            self._engine.letter_came(node)

        await self._receive(context, Kind.LETTER, parts, work)
        return wire.Accepted()

    async def FetchAggregate(self, request: wire.AttemptRef, context: Context) -> AsyncIterator[wire.AggregatePart]:
        """Send a published encrypted sum."""
        await self._do(context, request, lambda: self._members.require_admitted(request))
        found = self._run.store.rounds.published(request.round)
        path = await self._run.sum(found) if found else None
        if found is None or path is None:
            problem = "is not published" if found is None else "is kept no more: every node had applied its sum"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"round {request.round} {problem}")
            return
        header = wire.AggregateHeader(
            round=found.attempt.round,
            attempt=found.attempt.number,
            chunks=found.chunks,
            parameters=found.parameters,
            cohort=announcements.cohort(self._run.store, found.attempt),
        )
        with self._turns.taken(request.node, Kind.SUM) as turn:
            yield wire.AggregatePart(header=header)
            async for part in self._calls.told(context, _chunks(path, request.first, turn)):
                yield part

    async def GetLetters(self, request: wire.LettersRef, context: Context) -> AsyncIterator[wire.Delivery]:
        """Deliver letters as they come, until all are, or none has come for as long as the caller would wait."""
        await self._do(context, request, lambda: self._check_reader(request))
        with self._turns.taken(request.node, Kind.MAIL) as turn:
            await self._watchers.notify()  # an older stream of the node may have to end
            async for delivery in self._calls.told(context, self._deliveries(request, turn)):
                yield delivery

    async def _deliveries(self, request: wire.LettersRef, turn: Turn) -> AsyncIterator[wire.Delivery]:
        wait_s, missing = min(request.wait_ms / 1000, _LETTERS_S), set(request.senders) & set(self._run.config.nodes)

        def over() -> bool:
            return self._watchers.closing or turn.over

        def some() -> bool:
            return over() or bool(self.letters.there(request, missing))

        while missing and await self._watchers.within(wait_s, some) and not over():
            if missing - set(self.letters.there(request, missing)):
                await asyncio.sleep(min(wait_s, _TOGETHER_S))  # letters come many at a time, and go so
            there = self.letters.there(request, missing)
            missing.difference_update(there)
            await self.letters.bring(request, there)
            for delivery in self.letters.deliver(request, there):
                yield delivery

    async def last_words(self) -> None:
        """Until every node that has not left knows that the run failed, or is not there to be told."""
        members = self._run.store.members.all().items()
        there = {node for node, member in members if member.left is None}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._watchers.until(lambda: there <= self._told)

    # -- inside --------------------------------------------------------------------------------------

    async def _in_time(self, node: int, work: Awaitable[None]) -> None:
        """A stream that takes too long is given up; its node asks how far it came, and goes on in another one."""
        try:
            async with asyncio.timeout(max(SENDING_S, self._run.config.deadline_s)):
                await work
        except TimeoutError:
            raise TransportError(f"node {node} did not finish sending in time") from None

    async def _receive(
        self, context: Context, kind: Kind, parts: AsyncIterator[Part],
        work: Callable[[int, AsyncIterator[Part]], Awaitable[None]],
    ) -> None:  # fmt: skip
        """What a node sends in many parts; `work` takes its number and the parts."""

        async def taking() -> None:
            node = self._calls.speaker(context)
            with self._turns.taken(node, kind) as turn:
                await turn.give(work(node, turn.listening(parts)))

        await self._calls.answer(context, taking)
        await self._watchers.notify()

    def _check_follower(self, request: wire.RunRef) -> None:
        self._members.require_admitted(request)
        self.leases.require_free(request.node, request.lease)

    def _check_reader(self, request: wire.LettersRef) -> None:
        self._members.require_writing(request, request.subject)
        require_subject(request.subject)

    async def _speaking(self, context: Context, said: wire.Enrolment | wire.ReadyToken, work: Work) -> None:
        """What only the process may say that speaks for its node, and what makes it that."""

        def claiming() -> None:
            self.leases.require_free(said.node, said.lease)
            work()
            self.leases.claim(said.node, said.lease, address(context))

        await self._do(context, said, claiming)

    async def _do(self, context: Context, said: Said, work: Work) -> None:
        before = self._engine.version

        async def run() -> None:
            self._calls.require_word(context, said)
            work()

        await self._calls.answer(context, run)
        if self._engine.version != before:
            await self._watchers.notify()


async def _chunks(path: Path, first: int, turn: Turn) -> AsyncIterator[wire.AggregatePart]:
    for index, payload in enumerate(read_records(path, start=first), first):
        if turn.over:
            return
        yield wire.AggregatePart(chunk=wire.AggregateChunk(index=index, payload=payload))


async def _first(stream: AsyncIterator[Part], what: str) -> Part:
    """The first part of a stream, which holds its header.

    Raises:
        ProtocolError: It does not.
    """
    first = await anext(stream, None)
    if first is None or first.WhichOneof("part") != "header":
        raise ProtocolError(f"{what} begins with its header")
    return first
