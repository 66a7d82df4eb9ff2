"""The aggregator process: open the store, bind the port, serve one run, leave a summary."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import statistics
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from afml.consortium.inforce import InForce
from afml.consortium.kit import AggregatorKit, Renewed
from afml.consortium.limits import TIME_MS
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.consortium.space import aggregator_bytes, require_space
from afml.consortium.stage import Stage
from afml.consortium.tls import server_credentials
from afml.core.config import canonical_json
from afml.core.errors import ProtocolError, TransportError
from afml.core.files import hold_alone, write_bytes
from afml.core.logging import get_logger
from afml.wire.federation_pb2_grpc import add_FederationServicer_to_server
from aggregator.engine import Engine
from aggregator.handles import listening_options
from aggregator.malformed import log_in_one_line
from aggregator.orders import Orders
from aggregator.peers import Peers
from aggregator.publishing import Publisher
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.service import Service
from aggregator.standing import Lookout, Serving
from aggregator.store import open_store
from aggregator.store.base import Position
from aggregator.summing import Summer
from aggregator.timekeeping import keep_time
from aggregator.transcript import Transcript
from aggregator.waiting import awaited
from aggregator.watchers import Watchers
from crypto.public.backend import PublicBackend, public_backend

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


def serve(
    kit: AggregatorKit,
    config: RunConfig,
    data: Path,
    listen: Address,
    *,
    backend: PublicBackend | None = None,
    store: str = "",
) -> str:
    """Serve one run until it is finished, failed or stopped by a signal; a restart picks it up again.

    Args:
        kit: The aggregator's keys.
        config: The signed run.
        data: Folder for the run's files; one process at a time.
        listen: Where to serve.
        backend: What adds the updates; the one that the run names by default.
        store: URL of the run's state (`aggregator.store.open_store`); an SQLite file in `data` by default.

    Returns:
        "finished" or "stopped".

    Raises:
        TransportError: The port is taken.
        ConfigError: `data` or `store` is of another run, or of another version of AFML, or has too little room.
        ProtocolError: The run failed; the message says why.
    """
    bind_check(listen)
    folder = Folder(data)
    hold_alone(data, "afml aggregator")
    scheme = Scheme(backend or public_backend(config.backend), run_params(config))
    with contextlib.closing(open_store(store or folder.store, config.digest())) as opened:
        if not opened.members.all():  # later, a part of it is taken by the run itself
            require_space(data, aggregator_bytes(config, scheme.backend))
        run = ServedRun(config, kit.roster, scheme, opened, folder)
        engine = Engine(opened, config, kit.roster, time.monotonic)
        with contextlib.closing(Summer(scheme, os.cpu_count() or 1)) as summer:
            at, seconds = asyncio.run(_serve(run, engine, summer, kit, listen))
        _write_summary(run, engine, seconds)
        whole = engine.settled()
    if at.stage is Stage.FAILED:
        raise ProtocolError(at.cause.text(config.quorum) if at.cause else "has failed", where=f"run {config.run}")
    return "finished" if whole else "stopped"


async def _serve(
    run: ServedRun, engine: Engine, summer: Summer, kit: AggregatorKit, listen: Address
) -> tuple[Position, float]:
    """Until the run is settled, or a signal comes; returns where it stood then, and the seconds it was served."""
    watchers = Watchers()
    transcript = Transcript(run.folder.transcript, kit.signing_key)
    publisher = Publisher(run, engine, summer, transcript, watchers)
    service, orders = Service(run, engine, publisher, watchers), Orders(run, engine, transcript)
    server = await _listening(service, kit, run.folder, listen)
    get_logger().info("serving", run=run.config.run, address="{}:{}".format(*listen))
    started = time.monotonic()
    serving = Serving("{}:{}".format(*listen), kit.tls.expires.timestamp(), time.time(), kit.folder)
    async with Lookout(run, engine, serving).looking():
        await _until_signal(_to_its_end(run, engine, publisher, watchers, service, orders))
    at = run.store.position()
    if at.stage.over:
        await asyncio.sleep(0.5)  # let watchers read the last state
    await watchers.close()
    await server.stop(grace=2)
    return at, time.monotonic() - started


async def _to_its_end(
    run: ServedRun, engine: Engine, publisher: Publisher, watchers: Watchers, service: Service, orders: Orders
) -> None:
    await keep_time(run, engine, publisher, watchers, orders)
    if run.store.position().stage is Stage.FAILED:
        await service.last_words()
    elif without := awaited(run.store, run.config):
        told = f"nodes {without} have not fetched the model; start the aggregator again for them"
        get_logger().warning("finished", run=run.config.run, problem=told)


async def _listening(service: Service, kit: AggregatorKit, folder: Folder, listen: Address) -> Any:
    host, port = listen
    log_in_one_line()
    certificates = InForce(kit.folder, kit.roster, folder.seen)
    certificates.announce("aggregator", kit.tls.certificate)
    peers = Peers(kit.roster, certificates)
    server = grpc.aio.server(options=listening_options(len(kit.roster.members)), interceptors=[peers])
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


class _Clock(health.aio.HealthServicer):  # type: ignore[misc]
    """Answers whether it serves, and by the way what time it is here: `afml doctor` compares clocks."""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        context.set_trailing_metadata(((TIME_MS, str(time.time_ns() // 1_000_000)),))
        return await super().Check(request, context)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Not served: a stream that anybody may hold for ever."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "ask by Check")


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or until SIGINT or SIGTERM; one more of them ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for name in _ENDINGS:
            loop.remove_signal_handler(name)

    for name in _ENDINGS:
        loop.add_signal_handler(name, asked)
    tasks = (asyncio.create_task(work), asyncio.create_task(stop.wait()))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _write_summary(run: ServedRun, engine: Engine, seconds: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    summary = {
        "run": run.config.run,
        "rounds": run.store.rounds.last_published(),
        "aggregator_rss_mb": round(usage / 1024, 1),
        "seconds_per_round": round(statistics.median(engine.round_seconds or [0.0]), 3),
        "seconds": round(seconds, 2),
        "uploads": [
            {"round": attempt.round, "bytes": upload.bytes, "parameters": upload.parameters}
            for attempt, upload in run.store.attempts.all_uploads()
        ],
    }
    write_bytes(run.folder.summary, canonical_json(summary))
