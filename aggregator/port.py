"""The aggregator's port, and the signals that end its process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from afml.consortium.inforce import InForce
from afml.consortium.kit import AggregatorKit, Renewed
from afml.consortium.limits import TIME_MS
from afml.consortium.tls import server_credentials
from afml.core.errors import TransportError
from afml.wire.federation_pb2_grpc import FederationServicer, add_FederationServicer_to_server
from aggregator.handles import listening_options
from aggregator.malformed import log_in_one_line
from aggregator.peers import Peers

Address: TypeAlias = tuple[str, int]
"""(host, port)."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def bind_check(listen: Address) -> None:
    """Refuse a port that is taken, before anything else happens.

    Raises:
        TransportError: Somebody listens there already, or the address is not this machine's.
    """
    host, port = listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TransportError(
                f"cannot listen ({error.strerror})",
                where=f"{host}:{port}",
                cure="stop the process that uses this port or choose another with --listen",
            ) from None


async def listening(service: FederationServicer, kit: AggregatorKit, seen: Path, listen: Address, runs: int = 1) -> Any:
    """A server that has begun to answer.

    Args:
        service: Answers.
        kit: The aggregator's keys.
        seen: File of the certificates that parties were met with (`InForce`).
        listen: Where.
        runs: That are served at a time, each with streams of its own.

    Raises:
        TransportError: The port is taken.
    """
    host, port = listen
    log_in_one_line()
    certificates = InForce(kit.folder, kit.roster, seen)
    certificates.announce("aggregator", kit.tls.certificate)
    server = grpc.aio.server(
        options=listening_options(len(kit.roster.members) * runs), interceptors=[Peers(kit.roster, certificates)]
    )
    add_FederationServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    healthy = _Clock()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    credentials = server_credentials(kit.tls, Renewed(kit.folder, "aggregator"))
    try:
        server.add_secure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", credentials)
    except RuntimeError as error:
        raise TransportError(f"cannot listen ({error})", where=f"{host}:{port}", cure="choose another port") from None
    await server.start()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    return server


class Stop:
    """Whether this process is to stop: SIGINT or SIGTERM came. The same once more ends it at once.

    Not the other: Ctrl-C in a terminal reaches a process and whoever started it, who then ends it by SIGTERM.
    """

    def __init__(self) -> None:
        """Listens from here on, in the running loop."""
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for name in _ENDINGS:
            self._loop.add_signal_handler(name, self._ask, name)

    @property
    def asked(self) -> bool:
        """Whether one came."""
        return self._asked.is_set()

    async def within(self, seconds: float) -> None:
        """Wait so long, or until one comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    async def or_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` to its end, or until one comes.

        Raises:
            Exception: Whatever ended it.
        """
        tasks = (asyncio.create_task(work), asyncio.create_task(self._asked.wait()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _ask(self, name: signal.Signals) -> None:
        self._asked.set()
        self._loop.remove_signal_handler(name)


class _Clock(health.aio.HealthServicer):  # type: ignore[misc]
    """Answers whether it serves, and by the way what time it is here: `afml doctor` compares clocks."""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        context.set_trailing_metadata(((TIME_MS, str(time.time_ns() // 1_000_000)),))
        return await super().Check(request, context)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Not served: a stream that anybody may hold for ever."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask by Check")
