"""Who may speak to the aggregator at all: parties of its consortium, by certificates that are in force.

It stands before every call, so that no service can forget it, and in every stream at each message, and now and then
while none comes: a certificate that is renewed or revoked meanwhile ends what it began. So does the aggregator's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from afml.consortium.inforce import InForce
from afml.consortium.kit import party_of_peer
from afml.consortium.roster import Roster
from afml.core.errors import TransportError
from afml.core.logging import get_logger

Context: TypeAlias = Any  # grpc.aio.ServicerContext; grpcio ships no types
Look: TypeAlias = Callable[[], None]
"""Raises TransportError where a certificate does not count any more."""
Check: TypeAlias = Callable[[], Awaitable[None]]

LOOK_S = 5.0
"""Seconds between two looks at the certificates of a stream that says nothing."""


class Peers(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls of whoever shows no certificate that counts.

    Args:
        roster: The consortium.
        certificates: Which count.
    """

    def __init__(self, roster: Roster, certificates: InForce) -> None:
        self._roster, self._certificates = roster, certificates

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, behind the check."""
        handler = await continuation(details)
        if handler is None:
            return None
        serializers = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        asks, answers = handler.request_streaming, handler.response_streaming

        async def one(request: Any, context: Context) -> Any:
            check = _aborting(context, self._look_of(context))
            await check()
            return await inner(_checked(request, check) if asks else request, context)

        async def many(request: Any, context: Context) -> AsyncIterator[Any]:
            look = self._look_of(context)
            check = _aborting(context, look)
            await check()
            try:
                async with (
                    contextlib.aclosing(inner(_checked(request, check) if asks else request, context)) as replies,
                    _looking(look),
                ):
                    async for reply in replies:
                        await check()
                        yield reply
            except TimeoutError:
                await check()
                raise

        kind = f"{'stream' if asks else 'unary'}_{'stream' if answers else 'unary'}_rpc_method_handler"
        generates = inspect.isasyncgenfunction(inner)  # others write to the context, as the health service's does
        return getattr(grpc, kind)(many if generates else one, **serializers)

    def _look_of(self, context: Context) -> Look:
        """A look at the certificates of one call, which may come out otherwise later."""
        shown = context.auth_context()
        names, pem = shown.get("x509_subject_alternative_name", ()), next(iter(shown.get("x509_pem_cert", ())), b"")

        def look() -> None:
            self._certificates.check_own("aggregator")
            self._certificates.check(party_of_peer(names, self._roster), pem)

        return look


def _aborting(context: Context, look: Look) -> Check:
    """A look that ends the call where one of its certificates does not count."""

    async def check() -> None:
        try:
            look()
        except TransportError as error:
            get_logger().warning("refused", problem=str(error))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.problem)

    return check


@contextlib.asynccontextmanager
async def _looking(look: Look) -> AsyncIterator[None]:
    """Look now and then, also while nothing is said.

    Raises:
        TimeoutError: A certificate does not count any more.
    """
    loop, following = asyncio.get_running_loop(), list[asyncio.TimerHandle]()

    def again() -> None:
        try:
            look()
        except TransportError:
            scope.reschedule(loop.time())
        else:
            following[:] = [loop.call_later(LOOK_S, again)]

    following.append(loop.call_later(LOOK_S, again))
    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        following[0].cancel()


async def _checked(requests: AsyncIterator[Any], check: Check) -> AsyncIterator[Any]:
    async for request in requests:
        await check()
        yield request
