"""Letters over the wire: nodes' mailboxes and the aggregator's service, mutual TLS between them, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from afml.consortium.lease import draw_lease
from afml.consortium.limits import PIECE
from afml.core.errors import ProtocolError, TransportError
from node.mailbox import Mailbox, Opened
from node.patience import Patience
from node.reach import preflight
from tests.federation.served import NODES, Served


def enrolled(served: Served) -> Served:
    """Who is not in the run writes no letters."""
    for node, client in served.clients.items():
        client.enrol(bytes([node]) * 32, draw_lease())
    return served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = enrolled(Served(tmp_path_factory.mktemp("letters")))
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


def test_a_certificate_of_another_name_than_the_addresss_is_taken_where_that_name_is_given(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    served = enrolled(Served(tmp_path_factory.mktemp("named"), ["sum.example.org"], "sum.example.org"))
    kit, place = served.kits[1], f"127.0.0.1:{served.port}"
    try:
        preflight(served.address, kit, Patience(served.address, 0.0))
        served.boxes[1].send_open({2: b"through"}, "greeting")
        assert served.boxes[2].receive_open([1], "greeting", wait_s=60) == {1: Opened(b"", b"through")}
        for wrong in (place, f"other.example.org@{place}"):
            with pytest.raises(TransportError, match="NAME@HOST:PORT"):
                preflight(wrong, kit, Patience(wrong, 0.0))
    finally:
        served.close()
