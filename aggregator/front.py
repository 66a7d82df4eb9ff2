"""The gRPC surface of an aggregator of many runs: every call is handed to the run that it is about."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from afml.consortium.kit import party_of_peer
from afml.consortium.limits import SILENCE_S
from afml.core.errors import AfmlError, IntegrityError, ProtocolError, TransportError
from afml.core.logging import get_logger
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationServicer
from aggregator.calls import Context
from aggregator.office import NotYet, Office
from aggregator.service import Service
from aggregator.store.base import Taken
from aggregator.store.queue import Papers

_METHODS = wire.DESCRIPTOR.services_by_name["Federation"].methods


class Front(FederationServicer):
    """Takes runs in, and finds who answers for the others. The methods of a run are added below."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def SubmitRun(self, request: wire.SignedRun, context: Context) -> wire.RunPlace:
        """Take a run that the coordinator has signed."""
        try:
            return self._office.submit(Papers(request.config, request.signature))
        except Exception as error:
            await _refuse(context, error)
            raise

    async def ListRuns(self, request: wire.RunsRef, context: Context) -> wire.RunsOffered:
        """The runs that are for the node that asks."""
        try:
            runs = self._office.offered(self._speaker(context, request.node))
        except Exception as error:
            await _refuse(context, error)
            raise
        return wire.RunsOffered(
            runs=[wire.RunOffered(run=one.run, config_digest=one.digest, turn=place.turn) for one, place in runs]
        )

    async def FetchRun(self, request: wire.RunRef, context: Context) -> wire.SignedRun:
        """One of them, as it was submitted."""
        try:
            papers = self._office.papers(self._speaker(context, request.node), request.config_digest)
        except Exception as error:
            await _refuse(context, error)
            raise
        return wire.SignedRun(config=papers.config, signature=papers.signature)

    async def find(self, about: Any, context: Context) -> Service:
        """Who answers for the run that a message is about."""
        try:
            return self._office.service(about.run, about.config_digest, _names(context))
        except Exception as error:
            await _refuse(context, error)
            raise

    def _speaker(self, context: Context, claimed: int) -> int:
        """The node whose certificate a call comes under."""
        try:
            party = party_of_peer(_names(context), self._office.kit().roster)
        except TransportError as error:  # its certificate is good, and of nobody whom runs could be for
            raise ProtocolError(error.problem, where=f"node {claimed}") from None
        if party != f"node/{claimed}":
            raise ProtocolError(
                f"the certificate belongs to {party.replace('/', ' ')}, the message claims node {claimed}"
            )
        if claimed not in self._office.kit.nodes():
            cure = "install the coordinator's newest answer there with `afml keys install`"
            raise ProtocolError(f"node {claimed} is on no roster that the aggregator has", cure=cure)
        return claimed


def _names(context: Context) -> list[str]:
    """In the certificate that a call comes under."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return [name.decode("utf-8", "replace") for name in names]


async def _refuse(context: Context, error: Exception) -> None:
    """End a call for a reason that we know; others are faults of ours."""
    if isinstance(error, TransportError):  # what it says of the database is for the log alone
        get_logger().warning("cannot be opened", problem=str(error))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the aggregator's database lets nobody in")
    elif isinstance(error, NotYet | Taken | OSError):
        told = (error.strerror or str(error)) if isinstance(error, OSError) else error.problem
        await context.abort(grpc.StatusCode.UNAVAILABLE, told)
    elif isinstance(error, AfmlError):
        get_logger().warning("rejected", problem=str(error))
        denied = isinstance(error, IntegrityError)
        await context.abort(
            grpc.StatusCode.PERMISSION_DENIED if denied else grpc.StatusCode.FAILED_PRECONDITION, str(error)
        )


async def _opening(parts: AsyncIterator[Any], context: Context) -> tuple[Any, AsyncIterator[Any]]:
    """The header that a stream begins with, and the stream from its beginning."""
    first: Any = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SILENCE_S):
            first = await anext(aiter(parts), None)
    if first is None or first.WhichOneof("part") != "header":
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "a stream begins with its header")

    async def again() -> AsyncIterator[Any]:
        yield first
        async for part in parts:
            yield part

    return first.header, again()


def _handed_on(name: str, streams_in: bool, streams_out: bool) -> Any:
    async def alone(self: Front, request: Any, context: Context) -> Any:
        return await getattr(await self.find(request, context), name)(request, context)

    async def sent(self: Front, parts: AsyncIterator[Any], context: Context) -> Any:
        header, parts = await _opening(parts, context)
        return await getattr(await self.find(header, context), name)(parts, context)

    async def followed(self: Front, request: Any, context: Context) -> AsyncIterator[Any]:
        async with contextlib.aclosing(getattr(await self.find(request, context), name)(request, context)) as parts:
            async for part in parts:
                yield part

    return followed if streams_out else sent if streams_in else alone


for _method in _METHODS:
    if _method.name not in vars(Front):
        setattr(Front, _method.name, _handed_on(_method.name, _method.client_streaming, _method.server_streaming))
