"""A node looks at the aggregator's certificate before it connects: over real sockets, with a thief at the same port."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from afml.consortium import installing, ownkeys, provision
from afml.consortium.kit import CERTIFICATE, load_aggregator_kit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.request import REQUEST
from afml.consortium.tls import server_credentials
from afml.core.errors import ProtocolError, TransportError
from afml.core.progress import Event
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from node.client import Client
from node.line import Line, NotThere
from node.patience import Patience
from tests.federation.served import Served
from tests.ledger.helpers import config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_kits(tmp_path / "kits", "north", 2)
    return tmp_path


class _Echo(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == "/test/shown":
            return grpc.unary_unary_rpc_method_handler(lambda _, context: context.auth_context()["x509_pem_cert"][0])
        if details.method != "/test/echo":
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@contextmanager
def serving(kit: Path, port: int) -> Iterator[None]:
    """Somebody at a port, with what lies in a kit."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[_Echo()], options=[("grpc.so_reuseport", 0)])
    assert server.add_secure_port(f"127.0.0.1:{port}", server_credentials(load_aggregator_kit(kit).tls)) == port
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


def renewed(root: Path, party: str, out_name: str = "renewed") -> None:
    kit, out = root / "kits" / party, root / f"{out_name}-{party}"
    ownkeys.renew(kit)
    provision.renew([kit / REQUEST], root / "kits" / "coordinator", out)
    installing.install(out / party, kit)


def answered(line: Line) -> bool:
    """Whether a call goes through, after a look."""
    line.doubt()
    assert line.stub is not None
    echo = line._channels[-1].unary_unary("/test/echo")
    return bool(echo(b"x", timeout=20, wait_for_ready=True) == b"x")


def test_a_stolen_certificate_of_the_aggregator_serves_nobody_once_it_was_renewed(root: Path) -> None:
    kits, port = root / "kits", free_port()
    stolen = Path(shutil.copytree(kits / "aggregator", root / "stolen"))
    kit = load_node_kit(kits / "node-1")
    line = Line(f"127.0.0.1:{port}", kit)
    with pytest.raises(NotThere):
        _ = line.stub
    with serving(kits / "aggregator", port):
        assert answered(line)
    renewed(root, "aggregator")
    renewed(root, "node-1")  # its own too, under the running node
    with serving(kits / "aggregator", port):
        assert answered(line)
    restarted = Line(f"127.0.0.1:{port}", load_node_kit(kits / "node-1"))
    with serving(stolen, port):
        with pytest.raises(grpc.RpcError):  # trusted is the one certificate that it looked at
            line._channels[-1].unary_unary("/test/echo")(b"x", timeout=20)
        for one in (line, restarted):
            one.doubt()
            with pytest.raises(NotThere, match=r"aggregator that began on .* was renewed or revoked"):
                _ = one.stub
    other = Line(f"127.0.0.1:{port}", load_node_kit(kits / "node-2"))  # met neither; until it is told
    with serving(stolen, port):
        assert answered(other)
        installing.install(root / "renewed-aggregator" / "others", kits / "node-2")
        with pytest.raises(NotThere, match="was renewed or revoked"):
            _ = other.stub
    for one in (line, restarted, other):
        one.close()


def test_a_certificate_that_was_renewed_is_shown_from_the_next_call_on(root: Path) -> None:
    kit, port = root / "kits" / "node-1", free_port()
    line = Line(f"127.0.0.1:{port}", load_node_kit(kit))

    def shown() -> bytes:
        assert line.stub is not None
        found = line._channels[-1].unary_unary("/test/shown")(b"", timeout=20, wait_for_ready=True)
        return bytes(found).replace(b"\r", b"")

    with serving(root / "kits" / "aggregator", port):
        first = (kit / CERTIFICATE).read_bytes()
        assert shown() == first
        renewed(root, "node-1")
        assert shown() == (kit / CERTIFICATE).read_bytes() != first
        assert len(line._channels) == 2
        assert shown() != first
        assert len(line._channels) == 2, "one connection, until it is renewed again"
    renewed(root, "node-1", "again")
    with pytest.raises(NotThere):
        _ = line.stub
    with serving(root / "kits" / "aggregator", port):
        assert shown() == (kit / CERTIFICATE).read_bytes(), "also where nobody answered the first try"
    line.close()


def test_announcements_are_asked_for_anew_with_a_certificate_that_was_renewed(tmp_path: Path) -> None:
    """Nothing is said of an aggregator that would be away: it is not."""
    made, told = Served(tmp_path), list[Event]()
    client = Client(made.address, made.kits[1], made.config, Patience(made.address, 0.0, told.append))
    try:
        client.enrol(bytes(32), bytes(16))
        news = iter(client.watch())
        next(news)
        renewed(tmp_path, "node-1")
        with ThreadPoolExecutor(1) as other:
            try:
                other.submit(next, news).result(20)  # a new stream begins with the present state
            finally:
                client.close()
        assert len(client._line._channels) == 2
        assert told == []
    finally:
        made.close()


def test_an_aggregator_that_lacks_a_call_is_of_another_version(root: Path) -> None:
    port = free_port()
    kit: NodeKit = load_node_kit(root / "kits" / "node-1")
    with serving(root / "kits" / "aggregator", port):
        client = Client(f"127.0.0.1:{port}", kit, config("any"), Patience(f"127.0.0.1:{port}", 0.0))
        with pytest.raises(ProtocolError, match="does not know a call of this version of AFML; have both use the same"):
            client.enrolments()
        client.close()


@pytest.mark.parametrize("party", ["aggregator", "node/1"])
def test_a_silent_stream_ends_once_the_certificate_of_either_end_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, party: str
) -> None:
    """The word lies in one kit: a node's about the aggregator, which goes on, or the aggregator's about a node."""
    monkeypatch.setattr("aggregator.peers.LOOK_S", 0.05)
    made = Served(tmp_path)
    told = "aggregator" if party == "node/1" else "node-1"
    client = Client(made.address, made.kits[1], made.config, Patience(made.address, 0.0))
    try:
        client.enrol(bytes(32), bytes(16))
        news = iter(client.watch())
        next(news)
        provision.revoke(party, tmp_path / "kits" / "coordinator", tmp_path / "revoked")
        installing.install(tmp_path / "revoked" / "others", tmp_path / "kits" / told)
        with pytest.raises(TransportError, match=rf"\(the certificate of {party} that began on .* or revoked\)"):
            next(news)
    finally:
        client.close()
        made.close()
