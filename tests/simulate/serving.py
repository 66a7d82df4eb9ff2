"""The aggregator's end of a simulated wire: the handlers that gRPC would be given, and the calls they are busy with."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from afml.consortium.kit import party_uri
from afml.wire.federation_pb2_grpc import add_FederationServicer_to_server
from tests.simulate.actors import Killed


class CallFailed(grpc.RpcError):  # type: ignore[misc]
    """As gRPC raises it at a caller's."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def gone(why: str) -> CallFailed:
    """Nobody is there, or not any more."""
    return CallFailed(grpc.StatusCode.UNAVAILABLE, why)


class Context:
    """What a handler asks gRPC: who speaks; and how it refuses."""

    def __init__(self, consortium: str, node: int) -> None:
        self._names = [party_uri(consortium, f"node/{node}").encode()]

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_subject_alternative_name": self._names}

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise CallFailed(code, details)


class Server:
    """The calls that one process of the aggregator is busy with.

    Args:
        servicer: The product's.
        consortium: Its name, for certificates.
        broken: Told of whatever a handler raises that is no refusal.
    """

    def __init__(self, servicer: Any, consortium: str, broken: Callable[[BaseException], None]) -> None:
        self._consortium, self._broken = consortium, broken
        self._handlers: dict[str, Any] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._context = contextvars.copy_context()  # of the process: what a call begins is the server's
        self.up = True
        add_FederationServicer_to_server(servicer, self)  # type: ignore[no-untyped-call]

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """As gRPC's server; the others are what is used."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self._handlers = handlers

    def close(self) -> None:
        """End every call at once."""
        self.up = False
        for task in list(self._tasks):
            task.cancel()

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that ends with the server."""
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def answer(self, name: str, node: int, parts: list[bytes], cut: int | None = None) -> bytes:
        """The reply to one message, or to a stream of which the first `cut` parts come."""
        handler, context = self._handlers[name], Context(self._consortium, node)
        if handler.request_streaming:
            work = handler.stream_unary(self._coming(handler, parts, cut), context)
        else:
            work = handler.unary_unary(_read(handler, parts[0]), context)
        with self._guarding():
            return bytes(handler.response_serializer(await work))

    async def answers(self, name: str, node: int, request: bytes) -> AsyncIterator[bytes]:
        """The stream of replies to one message."""
        handler, context = self._handlers[name], Context(self._consortium, node)
        with self._guarding():
            async for reply in handler.unary_stream(_read(handler, request), context):
                yield handler.response_serializer(reply)

    @contextlib.contextmanager
    def _guarding(self) -> Iterator[None]:
        try:
            yield
        except (CallFailed, asyncio.CancelledError, GeneratorExit, Killed):
            raise
        except BaseException as error:  # noqa: BLE001 - as gRPC does, but somebody is told
            self._broken(error)
            raise CallFailed(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error).__name__}") from None

    async def _coming(self, handler: Any, parts: list[bytes], cut: int | None) -> AsyncIterator[Any]:
        for part in parts if cut is None else parts[:cut]:
            await asyncio.sleep(0.001)
            yield _read(handler, part)
        if cut is not None:
            await asyncio.sleep(3600)  # the rest never comes; whoever cut it cancels


def _read(handler: Any, message: bytes) -> Any:
    try:
        return handler.request_deserializer(message)
    except DecodeError:
        raise CallFailed(grpc.StatusCode.UNKNOWN, "Error parsing message") from None
