"""Certificates that were renewed or revoked are refused at once, over real sockets, by an aggregator that goes on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from afml.consortium import installing, ownkeys, provision
from afml.consortium.inforce import CERTIFICATES, InForce, Since
from afml.consortium.kit import Renewed, TlsIdentity, load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.request import REQUEST
from afml.consortium.route import Address, shake_hands
from afml.consortium.tls import channel_credentials, server_credentials
from afml.core.errors import IntegrityError, TransportError
from afml.trial.kits import make_kits
from aggregator.peers import Peers

ONE, MANY, TAKE = "/test/one", "/test/many", "/test/take"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("peers")
    make_kits(root / "kits", "north", 2)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "consortium"))


class _Handlers(grpc.GenericRpcHandler):
    """A call of each kind; the stream of answers gives one a release."""

    def __init__(self) -> None:
        self.more: asyncio.Queue[bytes] = asyncio.Queue()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def one(request: bytes, _: Any) -> bytes:
            return request

        async def many(_request: bytes, _: Any) -> AsyncIterator[bytes]:
            while True:
                yield await self.more.get()

        async def take(requests: AsyncIterator[bytes], _: Any) -> bytes:
            return b"".join([request async for request in requests])

        return {
            ONE: grpc.unary_unary_rpc_method_handler(one),
            MANY: grpc.unary_stream_rpc_method_handler(many),
            TAKE: grpc.stream_unary_rpc_method_handler(take),
        }[details.method]


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[tuple[int, _Handlers]]:
    """An aggregator's port, behind the check."""
    kit = load_aggregator_kit(root / "kits" / "aggregator")
    handlers = _Handlers()
    check = Peers(kit.roster, InForce(kit.folder, kit.roster, root / "seen.json"))
    server = grpc.aio.server(handlers=[handlers], interceptors=[check])
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    credentials = server_credentials(kit.tls, Renewed(kit.folder, "aggregator"))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port, handlers
    finally:
        await server.stop(None)


@asynccontextmanager
async def line(port: int, tls: TlsIdentity) -> AsyncIterator[grpc.aio.Channel]:
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", channel_credentials(tls), own) as channel:
        yield channel


async def ask(port: int, tls: TlsIdentity) -> bytes:
    async with line(port, tls) as channel:
        return bytes(await channel.unary_unary(ONE)(b"x", timeout=20))


@contextmanager
def unauthenticated() -> Iterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        yield
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "was renewed or revoked" in (refused.value.details() or "")


def renewed(root: Path, party: str, name: str = "renewed") -> Path:
    """A new certificate of a party, in its kit; the folder of answers."""
    ownkeys.renew(root / "kits" / party)
    provision.renew([root / "kits" / party / REQUEST], root / "kits" / "coordinator", root / name)
    installing.install(root / name / party, root / "kits" / party)
    return root / name


def node(root: Path, number: int) -> TlsIdentity:
    return load_node_kit(root / "kits" / f"node-{number}").tls


def played(scene: Callable[[Path], Coroutine[Any, Any, None]], root: Path) -> None:
    asyncio.run(scene(root))


def test_once_a_renewed_certificate_was_met_its_predecessor_is_refused(root: Path) -> None:
    """Nobody told the aggregator anything; and a restart does not forget it."""
    first = node(root, 1)

    async def before(root: Path) -> None:
        async with serving(root) as (port, handlers), line(port, first) as open_line:
            stream = open_line.unary_stream(MANY)(b"")
            handlers.more.put_nowait(b"1")
            assert await stream.read() == b"1"
            renewed(root, "node-1")
            assert await ask(port, first) == b"x"
            assert await ask(port, node(root, 1)) == b"x"
            with unauthenticated():
                await ask(port, first)
            with unauthenticated():
                await open_line.unary_unary(ONE)(b"x", timeout=20)
            handlers.more.put_nowait(b"2")  # nothing more comes on a stream that it began
            with unauthenticated():
                await stream.read()
            assert await ask(port, node(root, 2)) == b"x"

    async def after(root: Path) -> None:
        async with serving(root) as (port, _):
            with unauthenticated():
                await ask(port, first)
            assert await ask(port, node(root, 1)) == b"x"

    played(before, root)
    played(after, root)


def test_a_revoked_certificate_is_refused_as_soon_as_the_word_lies_in_the_kit(root: Path) -> None:
    async def scene(root: Path) -> None:
        kits = root / "kits"
        async with serving(root) as (port, handlers), line(port, node(root, 1)) as open_line:
            stream = open_line.unary_stream(MANY)(b"")
            handlers.more.put_nowait(b"1")
            assert await stream.read() == b"1"
            upload = open_line.stream_unary(TAKE)(timeout=20)
            await upload.write(b"half")
            provision.revoke("node/1", kits / "coordinator", root / "revoked")
            installing.install(root / "revoked" / "others", kits / "aggregator")
            with unauthenticated():
                await ask(port, node(root, 1))
            handlers.more.put_nowait(b"2")
            with unauthenticated():
                await stream.read()
            with unauthenticated():
                with contextlib.suppress(asyncio.InvalidStateError):  # it may be ended already
                    await upload.write(b"the other half")
                await upload
            assert await ask(port, node(root, 2)) == b"x"
            (kits / "aggregator" / CERTIFICATES).write_text("{}")  # a spoiled file takes nothing back
            with unauthenticated():
                await ask(port, node(root, 1))
            renewed(root, "node-1")
            assert await ask(port, node(root, 1)) == b"x"

    played(scene, root)


@pytest.mark.parametrize("party", ["node/1", "aggregator"])
def test_a_stream_on_which_nothing_is_said_ends_with_the_certificate_of_either_end(
    root: Path, monkeypatch: pytest.MonkeyPatch, party: str
) -> None:
    """A node that waits for news for hours, say; it is told whose certificate it was."""
    monkeypatch.setattr("aggregator.peers.LOOK_S", 0.05)

    async def scene(root: Path) -> None:
        async with serving(root) as (port, handlers), line(port, node(root, 1)) as open_line:
            stream = open_line.unary_stream(MANY)(b"")
            handlers.more.put_nowait(b"1")
            assert await stream.read() == b"1"
            provision.revoke(party, root / "kits" / "coordinator", root / "revoked")
            installing.install(root / "revoked" / "others", root / "kits" / "aggregator")
            with pytest.raises(grpc.aio.AioRpcError, match=rf"the certificate of {party} .* was renewed or revoked"):
                await asyncio.wait_for(stream.read(), 120)
            with unauthenticated():
                await ask(port, node(root, 1))
            renewed(root, party.replace("/", "-"))
            assert await ask(port, node(root, 1)) == b"x"

    played(scene, root)


def test_an_aggregator_shows_its_renewed_certificate_without_a_restart(root: Path) -> None:
    async def scene(root: Path) -> None:
        own = node(root, 1)

        def shown(port: int) -> int:
            import socket

            address = Address("127.0.0.1", port)
            plain = socket.create_connection((address.host, port), timeout=20)
            return x509.load_der_x509_certificate(shake_hands(plain, address, own)).serial_number

        async with serving(root) as (port, _), line(port, own) as open_line:
            assert await open_line.unary_unary(ONE)(b"x", timeout=20) == b"x"
            before = await asyncio.to_thread(shown, port)
            renewed(root, "aggregator")
            after = await asyncio.to_thread(shown, port)
            assert before != after
            assert await open_line.unary_unary(ONE)(b"y", timeout=20) == b"y", "what is open goes on"
            shutil.copy(root / "kits" / "node-1" / "tls.pem", root / "kits" / "aggregator" / "tls.pem")
            assert await asyncio.to_thread(shown, port) == after, "a half-made kit changes nothing"

    played(scene, root)


def test_a_certificate_that_came_while_nobody_looked_is_taken_up_all_the_same(root: Path) -> None:
    kit = load_aggregator_kit(root / "kits" / "aggregator")
    renewed(root, "aggregator")
    look = Renewed(kit.folder, "aggregator")
    found = look()
    assert found is not None
    assert found.certificate != kit.tls.certificate
    assert look() is None


def test_the_health_services_stream_passes_too(root: Path) -> None:
    async def scene(root: Path) -> None:
        async with serving(root) as (port, _), line(port, node(root, 1)) as channel:
            watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watched.read()).status == health_pb2.HealthCheckResponse.SERVING

    played(scene, root)


def test_the_word_is_the_coordinators_and_only_grows(root: Path) -> None:
    kits = root / "kits"
    roster = load_node_kit(kits / "node-1").roster
    pem = node(root, 1).certificate
    taken = InForce(kits / "aggregator", roster, root / "seen.json")
    taken.check("node/1", pem)
    keys = load_node_kit(kits / "node-2").signing_key, load_coordinator_key(kits / "coordinator")
    for number, key in enumerate(keys):
        word = Since.signed(key, roster, "node/1", 2_000_000_000)
        (kits / "aggregator" / CERTIFICATES).write_text(f'{{"certificates": [{word.model_dump_json()}]}}')
        if number == 0:
            taken.check("node/1", pem)
            with pytest.raises(IntegrityError):
                word.check(roster, "file")
        else:
            with pytest.raises(TransportError, match="was renewed or revoked"):
                taken.check("node/1", pem)
    (kits / "aggregator" / CERTIFICATES).write_text('{"certificates": []}')
    with pytest.raises(TransportError, match="was renewed or revoked"):
        taken.check("node/1", pem)


def test_certificates_of_one_second_follow_each_other(root: Path) -> None:
    """However fast a party renews, each certificate begins later than the one before."""
    pems = [node(root, 1).certificate]
    for number in range(3):
        renewed(root, "node-1", f"renewed-{number}")
        pems.append(node(root, 1).certificate)
    for place, pem in enumerate(pems):
        taken = InForce(root / "kits" / "coordinator", load_node_kit(root / "kits" / "node-1").roster, root / "none")
        if place == len(pems) - 1:
            taken.check("node/1", pem)
        else:
            with pytest.raises(TransportError, match="was renewed or revoked"):
                taken.check("node/1", pem)


def test_the_end_of_a_certificate_is_told_thirty_days_ahead_once_a_day(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = load_node_kit(root / "kits" / "node-1")
    ends, now = kit.tls.expires.timestamp(), [0.0]
    taken = InForce(root / "kits" / "aggregator", kit.roster, root / "seen.json", lambda: now[0])

    def told(days_left: float) -> int:
        now[0] = ends - days_left * 86_400
        taken.check("node/1", kit.tls.certificate)
        found = capsys.readouterr()
        return (found.out + found.err).count("the certificate of node/1 ends on")

    assert [told(days) for days in (31, 29.9, 29.5, 28.8, 0.5)] == [0, 1, 0, 1, 1]
