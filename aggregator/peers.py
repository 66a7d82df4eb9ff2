"""Who may speak to the aggregator at all: parties of its consortium, by certificates that are in force.

It stands before every call, so that no service can forget it, and in every stream at each message: a certificate that
is renewed or revoked meanwhile ends what it began.
"""

from __future__ import annotations

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
Check: TypeAlias = Callable[[], Awaitable[None]]


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
            check = self._check_of(context)
            await check()
            return await inner(_checked(request, check) if asks else request, context)

        async def many(request: Any, context: Context) -> AsyncIterator[Any]:
            check = self._check_of(context)
            await check()
            async with contextlib.aclosing(inner(_checked(request, check) if asks else request, context)) as replies:
                async for reply in replies:
                    await check()
                    yield reply

        kind = f"{'stream' if asks else 'unary'}_{'stream' if answers else 'unary'}_rpc_method_handler"
        generates = inspect.isasyncgenfunction(inner)  # others write to the context, as the health service's does
        return getattr(grpc, kind)(many if generates else one, **serializers)

    def _check_of(self, context: Context) -> Check:
        """The check of one call's certificate, which may come out otherwise later."""
        shown = context.auth_context()
        names, pem = shown.get("x509_subject_alternative_name", ()), next(iter(shown.get("x509_pem_cert", ())), b"")

        async def check() -> None:
            try:
                self._certificates.check(party_of_peer(names, self._roster), pem)
            except TransportError as error:
                get_logger().warning("refused", problem=str(error))
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.problem)

        return check


async def _checked(requests: AsyncIterator[Any], check: Check) -> AsyncIterator[Any]:
    async for request in requests:
        await check()
        yield request
