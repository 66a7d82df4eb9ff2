"""One call of a node: who speaks, and refusals as gRPC statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

import grpc

from afml.consortium.kit import node_of_peer
from afml.consortium.limits import MAX_TOLD, MAX_WORD
from afml.core.errors import AfmlError, IntegrityError, ProtocolError, Superseded, TransportError, Twin
from afml.core.logging import get_logger
from aggregator.run import ServedRun

Context: TypeAlias = Any  # grpc.aio.ServicerContext; grpcio ships no types
Part = TypeVar("Part")
_STATUSES = (
    (Superseded, grpc.StatusCode.ABORTED),
    (Twin, grpc.StatusCode.ALREADY_EXISTS),
    (IntegrityError, grpc.StatusCode.PERMISSION_DENIED),
    (TransportError, grpc.StatusCode.UNAVAILABLE),  # said again once the connection is better
    (AfmlError, grpc.StatusCode.FAILED_PRECONDITION),
)


class Said(Protocol):
    """A call that is one message."""

    @property
    def node(self) -> int:
        """Who speaks, it says."""

    def ByteSize(self) -> int:
        """Its length."""


class Calls:
    """Knows the callers of one run by their certificates."""

    def __init__(self, run: ServedRun) -> None:
        self._run = run
        self._log = get_logger().bind(run=run.config.run)

    def speaker(self, context: Context) -> int:
        """The node whose certificate a call comes under.

        Raises:
            ProtocolError: It is of the roster, but not of this run.
            AfmlError: It is nobody's.
        """
        node = node_of_peer(context.auth_context().get("x509_subject_alternative_name", ()), self._run.roster)
        if node not in self._run.config.enrolled:
            raise ProtocolError(f"node {node} is not in run {self._run.config.run}")
        return node

    def require(self, context: Context, node: int) -> None:
        """Refuse a message in another node's name than its certificate's.

        Raises:
            ProtocolError: It is.
        """
        if (speaker := self.speaker(context)) != node:
            raise ProtocolError(f"the certificate belongs to node {speaker}, the message claims node {node}")

    def require_word(self, context: Context, said: Said) -> None:
        """Refuse a message that is too long to be kept, or in another node's name.

        Raises:
            ProtocolError: It is.
        """
        self.require(context, said.node)
        if said.ByteSize() > MAX_WORD:
            raise ProtocolError(f"node {said.node} says more in one message than {MAX_WORD} bytes")

    async def answer(self, context: Context, work: Callable[[], Awaitable[Any]]) -> None:
        """Do the work of a call; turn our errors into gRPC statuses. Their messages hold no secrets by construction."""
        try:
            await work()
        except (AfmlError, OSError) as error:
            await self._refuse(context, error)

    async def told(self, context: Context, parts: AsyncIterator[Part]) -> AsyncIterator[Part]:
        """What a call answers part by part; errors on the way become statuses as in `answer`."""
        try:
            async for part in parts:
                yield part
        except (AfmlError, OSError) as error:
            await self._refuse(context, error)

    async def _refuse(self, context: Context, error: AfmlError | OSError) -> None:
        if isinstance(error, OSError):  # no space, or a store that is lost: nodes say it again until it is there
            problem = error.strerror or str(error)
            self._tell("cannot be kept", context, problem)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the aggregator cannot keep what it is told ({problem})")
        else:
            status = next(status for kind, status in _STATUSES if isinstance(error, kind))
            if not isinstance(error, Superseded):
                self._tell("twin refused" if isinstance(error, Twin) else "rejected", context, str(error))
            await context.abort(status, str(error))

    def _tell(self, event: str, context: Context, problem: str) -> None:
        """One line, under the node's own number: whoever provokes many uses up nobody else's."""
        try:
            node = self.speaker(context)
        except AfmlError:
            node = 0
        self._log.warning(event, node=node, address=address(context), problem=problem[:MAX_TOLD])


def address(context: Context) -> str:
    """The host and port that a call comes from."""
    return unquote(context.peer()).partition(":")[2]
