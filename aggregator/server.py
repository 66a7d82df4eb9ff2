"""The aggregator process: hold the folder, open the store, bind the port, serve one run or many."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from afml.consortium.kit import AggregatorKit
from afml.consortium.run import RunConfig
from afml.consortium.space import aggregator_bytes, require_space
from afml.consortium.stage import Stage
from afml.core.errors import ConfigError, ProtocolError
from afml.core.files import hold_alone
from afml.core.logging import get_logger
from aggregator.desk import Desk
from aggregator.front import Front
from aggregator.office import Office, Place
from aggregator.port import Address, Stop, bind_check, listening
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.standby import in_turns
from aggregator.store import open_queue, open_store
from aggregator.store.base import Position, Store
from aggregator.store.queue import Queue
from aggregator.summing import Summer
from crypto.public.backend import PublicBackend

QUEUE = "queue.sqlite"
"""Below the folder of an aggregator of many runs."""


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

    While another process serves the run from the same database this one stands by, and listens to nobody.

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
        TransportError: The port is taken, or no database answers.
        ConfigError: `data` or `store` is of another run, or of another version of AFML, or has too little room.
        ProtocolError: The run failed; the message says why.
    """
    bind_check(listen)
    folder, address = Folder(data), "{}:{}".format(*listen)
    hold_alone(data, "afml aggregator")
    scheme = Scheme.of(config, backend)
    with contextlib.closing(Summer(os.cpu_count() or 1)) as summer:

        async def work(opened: Store, stop: Stop) -> tuple[Position, bool]:
            if not opened.members.all():  # later, a part of it is taken by the run itself
                require_space(data, aggregator_bytes(config, scheme.backend))
            desk = Desk(ServedRun(config, kit.roster, scheme, opened, folder), kit, summer, address)
            server = await listening(desk.service, kit, folder.seen, listen)
            get_logger().info("serving", run=config.run, address=address)
            try:
                await stop.or_end(desk.to_its_end())
                return await desk.leave(), desk.engine.settled()
            finally:
                await desk.drop()
                await server.stop(grace=2)
                await desk.stop()

        ended = asyncio.run(in_turns(lambda: open_store(store or folder.store, config.digest()), work))
    at, whole = ended or (None, False)
    if at is not None and at.stage is Stage.FAILED:
        raise ProtocolError(at.cause.text(config.quorum) if at.cause else "has failed", where=f"run {config.run}")
    return "finished" if whole else "stopped"


def serve_many(kit: AggregatorKit, data: Path, listen: Address, *, at_once: int, store: str = "") -> None:
    """Serve the runs that are submitted, until a signal comes; a restart picks all of them up again.

    Args:
        kit: The aggregator's keys.
        data: Folder for the runs' files; one process at a time.
        listen: Where to serve.
        at_once: Runs that are served at a time; further ones wait for their turn.
        store: URL of a database that keeps the runs; SQLite files in `data` by default.

    Raises:
        TransportError: The port is taken, or no database answers.
        ConfigError: `data` is of one run, `store` names a file, or either is of another version of AFML.
    """
    bind_check(listen)
    hold_alone(data, "afml aggregator")
    if Folder(data).store.exists():
        raise ConfigError("is the folder of one run", where=data, cure="go on with --run, or give another --data")
    if store.startswith("sqlite:"):
        cure = "leave it out: each run has a file in its own folder"
        raise ConfigError("names a file for many runs", where="--store", cure=cure)
    place = Place(data, store, "{}:{}".format(*listen), at_once)
    with contextlib.closing(Summer(os.cpu_count() or 1)) as summer:

        async def work(queue: Queue, stop: Stop) -> None:
            office = Office(kit, place, queue, summer)
            server = await listening(Front(office), kit, Folder(data).seen, listen, at_once)
            get_logger().info("serving many runs", address=place.address, count=at_once)
            try:
                await stop.or_end(office.work())
            finally:
                await server.stop(grace=2)

        asyncio.run(in_turns(lambda: open_queue(store or data / QUEUE), work))
