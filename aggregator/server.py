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
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from afml.core.config import canonical_json
from afml.core.errors import ProtocolError, TransportError
from afml.core.files import hold_alone, write_bytes
from afml.core.logging import get_logger
from afml.core.run import RunConfig
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import add_FederationServicer_to_server
from aggregator.engine import Engine
from aggregator.service import Service
from aggregator.store import Store
from aggregator.summing import Summer
from aggregator.transcript import Transcript
from crypto.public.kit import AggregatorKit


def bind_check(host: str, port: int) -> None:
    """Refuse a port that is taken, before anything else happens.

    Raises:
        TransportError: Somebody listens there already, or the address is not this machine's.
    """
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


async def _serve(kit: AggregatorKit, config: RunConfig, data: Path, host: str, port: int) -> str:
    log = get_logger()
    hold_alone(data, "afml aggregator")
    store = Store(data / "run.sqlite", config.digest())
    engine = Engine(store, config, kit.roster, time.monotonic)
    summer = Summer(os.cpu_count() or 1)
    transcript = Transcript(data / "transcript.jsonl", kit.signing_key)
    service = Service(engine, store, config, kit.roster, data, summer, transcript)
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 2 << 20),
            ("grpc.max_concurrent_streams", 32),  # of one connection; a node needs a handful
        ]
    )
    add_FederationServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    credentials = grpc.ssl_server_credentials(
        [(kit.tls.key, kit.tls.certificate)], root_certificates=kit.tls.ca, require_client_auth=True
    )
    try:
        server.add_secure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", credentials)
    except RuntimeError as error:
        raise TransportError(
            f"cannot listen ({error})", where=f"{host}:{port}", cure="choose another port"
        ) from None
    await server.start()
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    log.info("serving", run=config.run, address=f"{host}:{port}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    timekeeper = asyncio.create_task(service.keep_time())
    stopper = asyncio.create_task(stop.wait())
    started = time.monotonic()
    await asyncio.wait({timekeeper, stopper}, return_when=asyncio.FIRST_COMPLETED)
    state = engine.state()
    for task in (timekeeper, stopper):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    if state.stage in (wire.STAGE_FINISHED, wire.STAGE_FAILED):
        await asyncio.sleep(0.5)  # let watchers read the last state
    await service.close()
    await server.stop(grace=2)
    summer.close()
    usage = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    )
    uploads = store.all_uploads()
    summary = {
        "run": config.run,
        "rounds": store.last_published(),
        "aggregator_rss_mb": round(usage / 1024, 1),
        "seconds_per_round": round(statistics.median(engine.round_seconds or [0.0]), 3),
        "seconds": round(time.monotonic() - started, 2),
        "uploads": [{"round": r, "bytes": b, "parameters": p} for r, b, p in uploads],
    }
    write_bytes(data / "summary.json", canonical_json(summary))
    store.close()
    if state.stage == wire.STAGE_FAILED:
        raise ProtocolError(state.reason, where=f"run {config.run}")
    return "finished" if state.stage == wire.STAGE_FINISHED else "stopped"


def serve(kit: AggregatorKit, config: RunConfig, data: Path, host: str, port: int) -> str:
    """Serve one run until it is finished, failed or stopped by a signal; a restart picks it up again.

    Returns:
        "finished" or "stopped".

    Raises:
        TransportError: The port is taken.
        ProtocolError: The run failed; the message says why.
    """
    bind_check(host, port)
    return asyncio.run(_serve(kit, config, data, host, port))
