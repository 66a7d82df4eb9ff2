"""Letters over the wire: nodes' mailboxes and the aggregator's service, mutual TLS between them, in one process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.kit import load_aggregator_kit
from afml.consortium.limits import PIECE
from afml.consortium.nodekit import load_node_kit
from afml.consortium.scheme import run_params
from afml.core.errors import ProtocolError
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from aggregator.engine import Engine
from aggregator.run import Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.server import _listening
from aggregator.service import Service
from aggregator.store import open_store
from aggregator.watchers import Watchers
from crypto.public.backend import public_backend
from node.client import Client
from node.mailbox import Mailbox, Opened
from tests.aggregator.machine import small_run

NODES = (1, 2, 3, 4)


class Served:
    """A run that is served on loopback by a thread of this process."""

    def __init__(self, root: Path) -> None:
        roster = make_kits(root / "kits", "test", len(NODES))
        self.kits = {node: load_node_kit(root / "kits" / f"node-{node}") for node in NODES}
        self.config, self.port, self.root = small_run(consortium=roster.consortium), free_port(), root
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._serve, args=(started,), daemon=True).start()
        assert started.wait(60)
        self.clients = {node: Client(f"127.0.0.1:{self.port}", kit, self.config) for node, kit in self.kits.items()}
        self.boxes = {node: Mailbox(client, self.kits[node], self.config) for node, client in self.clients.items()}

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        kit = load_aggregator_kit(self.root / "kits" / "aggregator")
        with closing(open_store(self.root / "run.sqlite", self.config.digest())) as store:
            scheme = Scheme(public_backend("ckks"), run_params(self.config))
            run = ServedRun(self.config, kit.roster, scheme, store, Folder(self.root / "data"))
            publisher: Any = None
            service = Service(run, Engine(store, self.config, kit.roster, time.monotonic), publisher, Watchers())
            server = self.loop.run_until_complete(_listening(service, kit.tls, ("127.0.0.1", self.port)))
            started.set()
            self.loop.run_forever()
            self.loop.run_until_complete(server.stop(0))

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.loop.call_soon_threadsafe(self.loop.stop)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("letters"))
    yield made
    made.close()


def test_everybody_writes_to_everybody_at_once_and_reads_its_own_part(served: Served) -> None:
    """Readers wait before anybody has written; what each gets is what was for it."""

    def exchange(node: int) -> dict[int, Opened]:
        box, others = served.boxes[node], [other for other in NODES if other != node]
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(box.receive_open, others, "greeting", wait_s=60)
            box.send_open({other: f"{node} to {other}".encode() for other in others}, "greeting", b"from %d" % node)
            return reading.result()

    with ThreadPoolExecutor(len(NODES)) as pool:
        found = dict(zip(NODES, pool.map(exchange, NODES), strict=True))
    for node in NODES:
        expected = {
            sender: Opened(b"from %d" % sender, f"{sender} to {node}".encode()) for sender in NODES if sender != node
        }
        assert found[node] == expected


def test_a_long_sealed_letter_opens_for_its_recipients_alone(served: Served) -> None:
    body = bytes(range(256)) * (PIECE // 100)
    served.boxes[1].send_sealed([2, 3], "public-model", body)
    for node in (2, 3):
        assert served.boxes[node].receive_sealed([1], "public-model", wait_s=60) == {1: body}
    assert served.boxes[4].receive_sealed([1], "public-model", wait_s=60) == {}
    for path in (served.root / "data" / "letters").iterdir():
        assert body[:1000] not in path.read_bytes()


def test_who_is_silent_is_left_out_and_no_longer_waited_for_than_was_said(served: Served) -> None:
    served.boxes[2].send_open({1: b"here"}, "roll-call")
    asked: list[int] = []
    found = served.boxes[1].receive_open([2, 3], "roll-call", wait_s=0.0, waiting=lambda: asked.append(1))
    assert found == {2: Opened(b"", b"here")}
    assert asked
    assert served.boxes[1].receive_open([], "roll-call", wait_s=60) == {}


def test_a_letter_in_another_nodes_name_is_refused(served: Served) -> None:
    """A certificate speaks for its node alone, whatever a header says."""
    liar = Mailbox(served.clients[3], served.kits[2], served.config)
    with pytest.raises(ProtocolError, match="the certificate belongs to node 3, the message claims node 2"):
        liar.send_open({1: b"forged"}, "forged")
