"""The wire of a simulation: the generated stubs and handlers, and what a schedule does between them.

A node's `FederationStub` is made of a `Channel`, which serialises; the aggregator's handlers are those that gRPC would
be given, and deserialise. In between are bytes, a time, and a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc

from tests.simulate.actors import Actor, current
from tests.simulate.faults import Fault, Schedule
from tests.simulate.serving import CallFailed, Server, gone

LOST_S, LATE_S = (0.1, 60.0), (1.0, 90.0)
"""Seconds until a caller finds out, or an answer comes after all."""
_END = object()


class Network:
    """Between everybody and the aggregator.

    Attributes:
        server: The one that is there, None while none is.
        sent: Told of every whole message or stream that leaves a node, before anything becomes of it.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.server: Server | None = None
        self.sent: Callable[[str, int, list[bytes]], None] = lambda name, node, parts: None

    def channel(self, node: int) -> Channel:
        """A connection of this node."""
        return Channel(self, node)

    def present(self) -> Server:
        """The aggregator.

        Raises:
            CallFailed: It is not there.
        """
        if self.server is None or not self.server.up:
            raise gone("Connection refused")
        return self.server

    async def call(self, name: str, node: int, parts: list[bytes], timeout: float | None) -> bytes:
        """One call with one reply."""
        try:
            async with asyncio.timeout(timeout):
                return await self._call(name, node, parts)
        except TimeoutError:
            raise CallFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None

    async def _call(self, name: str, node: int, parts: list[bytes]) -> bytes:
        plan, cut = self.schedule, None
        fault = plan.call()
        await asyncio.sleep(plan.seconds(*LATE_S) if fault is Fault.DELAY else plan.seconds(0.001, 0.05))
        if fault is Fault.REQUEST_LOST:
            if len(parts) > 1:  # of a stream, some of it comes
                cut = plan.random.randrange(len(parts))
                task = self.present().start(self.present().answer(name, node, parts, cut))
                await asyncio.sleep(plan.seconds(*LOST_S))
                task.cancel()
            raise gone("Socket closed")
        if name == "SubmitUpdate" and len(parts) > 1 and plan.chunk():
            parts = _corrupted(parts, plan)
        if fault is Fault.REORDER:
            later = asyncio.get_running_loop().create_task(self._later(name, node, parts))
            later.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise gone("Connection reset by peer")
        reply = await self._reply(name, node, parts)
        if fault is Fault.DUPLICATE:
            with contextlib.suppress(CallFailed):
                reply = await self._reply(name, node, parts)
        if fault is Fault.RESPONSE_LOST:
            raise gone("Connection reset by peer")
        await asyncio.sleep(plan.seconds(0.001, 0.05))
        return reply

    async def _later(self, name: str, node: int, parts: list[bytes]) -> None:
        await asyncio.sleep(self.schedule.seconds(*LATE_S))
        await self._reply(name, node, parts)

    async def _reply(self, name: str, node: int, parts: list[bytes]) -> bytes:
        server = self.present()
        task = server.start(server.answer(name, node, parts))
        await asyncio.wait([task])  # the caller may go; what it said is heard all the same
        if task.cancelled():
            raise gone("Socket closed")
        return bytes(task.result())


def _corrupted(parts: list[bytes], plan: Schedule) -> list[bytes]:
    which = plan.random.randrange(1, len(parts))  # a chunk: a receipt's leaf is the node's own word, unsigned
    bent = bytearray(parts[which])
    bent[plan.random.randrange(len(bent))] ^= 1 << plan.random.randrange(8)
    return [*parts[:which], bytes(bent), *parts[which + 1 :]]


class Channel:
    """What a generated stub is made of, as `grpc.Channel`."""

    def __init__(self, network: Network, node: int) -> None:
        self._network, self._node = network, node
        self._streams: list[Replies] = []

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        return partial(self._one, path.rpartition("/")[2], request_serializer, response_deserializer)

    def stream_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        return partial(self._many, path.rpartition("/")[2], request_serializer, response_deserializer)

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        return partial(self._stream, path.rpartition("/")[2], request_serializer, response_deserializer)

    def close(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.end()

    def _one(self, name: str, write: Any, read: Any, request: Any, timeout: float | None = None) -> Any:
        return self._said(name, [write(request)], read, timeout)

    def _many(self, name: str, write: Any, read: Any, requests: Iterator[Any], timeout: float | None = None) -> Any:
        return self._said(name, [write(request) for request in requests], read, timeout)

    def _said(self, name: str, parts: list[bytes], read: Any, timeout: float | None) -> Any:
        self._network.sent(name, self._node, parts)
        return read(_actor().wait_for(self._network.call(name, self._node, parts, timeout)))

    def _stream(self, name: str, write: Any, read: Any, request: Any, timeout: float | None = None) -> Any:
        stream = Replies(self._network, name, self._node, write(request), timeout)
        self._streams = [one for one in self._streams if not one.ended]
        self._streams.append(stream)
        _actor().process.at_death.append(stream.end)
        return map(read, stream)


def _actor() -> Actor:
    actor = current()
    assert actor is not None, "only a simulated process calls"
    return actor


class Replies:
    """A stream of replies at its reader's."""

    def __init__(self, network: Network, name: str, node: int, request: bytes, timeout: float | None) -> None:
        self._network, self._call = network, (name, node, request)
        self._timeout, self._task, self.ended = timeout, None, False  # type: ignore[var-annotated]
        self._replies: asyncio.Queue[Any] = asyncio.Queue()

    def __iter__(self) -> Replies:
        return self

    def __next__(self) -> bytes:
        reply = _actor().wait_for(self._next())
        if reply is _END:
            raise StopIteration
        if isinstance(reply, BaseException):
            raise reply
        return bytes(reply)

    def end(self) -> None:
        """Nobody reads on."""
        self.ended = True
        if self._task is not None:
            self._task.cancel()

    async def _next(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._task is None:
            if self.ended:
                return ValueError("Cannot invoke RPC on closed channel!")
            self._until = None if self._timeout is None else loop.time() + self._timeout
            self._task = loop.create_task(self._pump())
        try:
            async with asyncio.timeout_at(self._until):
                return await self._replies.get()
        except TimeoutError:
            self.end()
            return CallFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    async def _pump(self) -> None:
        plan, end = self._network.schedule, _END
        fault = plan.stream()
        try:
            if fault is Fault.REQUEST_LOST:
                await asyncio.sleep(plan.seconds(*LOST_S))
                raise gone("Socket closed")
            await asyncio.sleep(plan.seconds(*LATE_S) if fault is Fault.DELAY else plan.seconds(0.001, 0.05))
            left = plan.random.randrange(4) if fault is Fault.CUT else None
            server = self._network.present()
            await self._relay(server, left)
        except CallFailed as failed:
            end = failed
        except asyncio.CancelledError:
            end = gone("Socket closed")
            raise
        finally:
            self._replies.put_nowait(end)

    async def _relay(self, server: Server, left: int | None) -> None:
        relay = server.start(self._hand_on(server, left))
        try:
            await asyncio.wait([relay])
        finally:
            relay.cancel()
        if relay.cancelled():
            raise gone("Socket closed")
        relay.result()

    async def _hand_on(self, server: Server, left: int | None) -> None:
        replies = server.answers(*self._call)
        async with contextlib.aclosing(replies):  # type: ignore[type-var]
            async for reply in replies:
                if left is not None:
                    left -= 1
                    if left < 0:
                        raise gone("Connection reset by peer")
                await asyncio.sleep(self._network.schedule.seconds(0.001, 0.02))
                self._replies.put_nowait(reply)
