"""A run that is served on loopback by a thread of the test's process: the real service, mutual TLS, no adding."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import DEFAULT_HOSTS
from afml.consortium.scheme import run_params
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from aggregator.engine import Engine
from aggregator.port import listening
from aggregator.publishing import Publisher
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.service import Service
from aggregator.store import open_store
from aggregator.store.base import Published
from aggregator.summing import Summer
from aggregator.transcript import Transcript
from aggregator.watchers import Watchers
from crypto.public.backend import public_backend
from node.client import Client
from node.mailbox import Mailbox
from tests.aggregator.machine import small_run

NODES = (1, 2, 3, 4)


class Served:
    """A run of four nodes.

    Args:
        root: For its files.
        hosts: That its certificate is for.
        name: That nodes are told to expect in it; "" for the address.
        settings: Of the run.
    """

    def __init__(self, root: Path, hosts: Sequence[str] = DEFAULT_HOSTS, name: str = "", **settings: Any) -> None:
        roster = make_kits(root / "kits", "test", len(NODES), hosts)
        self.kits = {node: load_node_kit(root / "kits" / f"node-{node}") for node in NODES}
        self.config = small_run(consortium=roster.consortium, **settings)
        self.port, self.root = free_port(), root
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(20)
        self.address = f"{name}@127.0.0.1:{self.port}" if name else f"127.0.0.1:{self.port}"
        self.clients = {node: Client(self.address, kit, self.config) for node, kit in self.kits.items()}
        self.boxes = {node: Mailbox(client, self.kits[node], self.config) for node, client in self.clients.items()}

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        kit = load_aggregator_kit(self.root / "kits" / "aggregator")
        with closing(open_store(self.root / "run.sqlite", self.config.digest())) as store:
            self.store = store
            scheme = Scheme(public_backend("ckks"), run_params(self.config))
            run = ServedRun(self.config, kit.roster, scheme, store, Folder(self.root / "data"))
            watchers, adding = Watchers(), cast(Summer, None)
            self.engine = Engine(store, self.config, kit.roster, time.monotonic)
            transcript = Transcript(run.folder.transcript, kit.signing_key)
            self.publisher = Publisher(run, self.engine, adding, transcript, watchers)
            service = Service(run, self.engine, self.publisher, watchers)
            server = self.loop.run_until_complete(listening(service, kit, run.folder.seen, ("127.0.0.1", self.port)))
            started.set()
            self.loop.run_forever()
            self.loop.run_until_complete(server.stop(0))

    def published(self, sum_of: Published) -> None:
        """A sum that is on disk may be fetched."""
        done = asyncio.run_coroutine_threadsafe(self._publish(sum_of), self.loop)
        done.result(60)

    async def _publish(self, sum_of: Published) -> None:
        self.store.rounds.publish(sum_of)

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)  # an interpreter that ends beneath a server may not end at all
