"""Kits: what is in them, what each error says, and a TLS handshake with them."""

from __future__ import annotations

import datetime as dt
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from afml.consortium.authority import Authority
from afml.consortium.kit import load_aggregator_kit, node_of_peer
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.request import REQUEST, read_request
from afml.core.errors import InputError, IntegrityError, TransportError
from afml.trial.kits import make_kits

SECRETS = {"tls.key", "signing.key", "sealing.key", "ca.key"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("consortium") / "kits"
    make_kits(out, "Nordic ü/1", ["Uppsala", "Oslo", "Turku"], ["localhost", "127.0.0.1"])
    return out


@pytest.fixture
def kits(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "kits"))


def test_kits_load_and_agree(kits: Path) -> None:
    aggregator = load_aggregator_kit(kits / "aggregator")
    nodes = [load_node_kit(kits / f"node-{number}") for number in (1, 2, 3)]
    assert [kit.node for kit in nodes] == [1, 2, 3]
    assert all(kit.roster == aggregator.roster for kit in nodes)
    assert [member.name for member in aggregator.roster.members] == ["Uppsala", "Oslo", "Turku"]
    assert load_coordinator_key(kits / "coordinator").public_key().public_bytes_raw().hex() == (
        aggregator.roster.coordinator_key
    )
    assert nodes[0].tls.expires > dt.datetime.now(dt.UTC) + dt.timedelta(days=700)


def test_files_and_modes(kits: Path) -> None:
    for folder in kits.iterdir():
        names = {path.name for path in folder.iterdir()}
        expected = {"roster.json", "roster.sig", "ca.pem", "tls.pem", "tls.key", "signing.key", "request.json"}
        expected |= {"certificates.json"}
        expected |= {"sealing.key"} if folder.name.startswith("node-") else set()
        expected |= {"ca.key"} if folder.name == "coordinator" else set()
        assert names == expected
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.iterdir():
            assert (stat.S_IMODE(path.stat().st_mode) == 0o600) == (path.name in SECRETS)


def test_no_key_is_shared_between_kits(kits: Path) -> None:
    keys = [path.read_bytes() for path in kits.rglob("*.key")]
    assert len(set(keys)) == len(keys) == 3 * 3 + 2 + 3


def test_certificates_are_for_one_purpose(kits: Path) -> None:
    for folder in kits.iterdir():
        certificate = x509.load_pem_x509_certificate((folder / "tls.pem").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        server = folder.name == "aggregator"
        assert usage == x509.ExtendedKeyUsage(
            [x509.ExtendedKeyUsageOID.SERVER_AUTH if server else x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        )
        assert bool(names.get_values_for_type(x509.DNSName)) == server
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert uri == f"afml://Nordic%20%C3%BC%2F1/{folder.name.replace('node-', 'node/')}"


def _swap(name: str, source: str) -> Callable[[Path], object]:
    return lambda kits: shutil.copy(kits / source / name, kits / "node-1" / name)


def _widen(kits: Path) -> None:
    (kits / "node-1" / "signing.key").chmod(0o640)


def _foreign_ca(kits: Path) -> None:
    make_kits(kits / "other", "other", 1)
    shutil.copy(kits / "other" / "node-1" / "ca.pem", kits / "node-1" / "ca.pem")


def _foreign_authority(kits: Path) -> None:
    """Whoever carries an answer cannot put another authority into it, with a certificate to match."""
    authority, node = Authority.make("Nordic ü/1"), kits / "node-1"
    (node / "ca.pem").write_bytes(authority.pem())
    key = read_request(node / REQUEST).tls_key
    (node / "tls.pem").write_bytes(authority.certify("node/1", key, (), 30))


def _edit_roster(kits: Path) -> None:
    path = kits / "node-1" / "roster.json"
    path.write_text(path.read_text().replace("Oslo", "Olso"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda kits: (kits / "node-1" / "tls.pem").unlink(), "tls.pem: TLS certificate does not exist"),
        (lambda kits: (kits / "node-1" / "ca.pem").unlink(), "ca.pem: consortium certificate does not exist"),
        (lambda kits: (kits / "node-1" / "tls.key").unlink(), "tls.key: key file is missing"),
        (lambda kits: (kits / "node-1" / "sealing.key").unlink(), "sealing.key: key file is missing"),
        (lambda kits: (kits / "node-1" / "roster.json").unlink(), "roster.json: .* does not exist"),
        (
            lambda kits: (kits / "node-1" / "roster.sig").unlink(),
            "roster.sig: roster signature does not exist",
        ),
        (lambda kits: (kits / "node-1" / "tls.key").write_text("rubbish"), "tls.key: not a PEM private key"),
        (lambda kits: (kits / "node-1" / "ca.pem").write_text("rubbish"), "ca.pem: .* not a PEM certificate"),
        (
            lambda kits: (kits / "node-1" / "tls.pem").write_text("rubbish"),
            "tls.pem: certificate names no node",
        ),
        (_widen, r"signing.key: key file is readable by others \(mode 0640\); chmod 600"),
        (_swap("tls.key", "node-2"), "tls.key: key does not match the certificate"),
        (_swap("tls.pem", "node-2"), "tls.key: key does not match the certificate"),
        (_swap("tls.pem", "aggregator"), "tls.pem: certificate names no node"),
        (_swap("signing.key", "node-2"), "signing.key: signing key is not the one on the roster"),
        (_swap("sealing.key", "node-2"), "sealing.key: sealing key is not the one on the roster"),
        (_foreign_ca, "tls.pem: certificate was not issued by this consortium"),
        (_foreign_authority, "ca.pem: is not the certificate authority on the roster"),
        (_edit_roster, "roster.json: signature does not match"),
    ],
)
def test_a_damaged_kit_says_what_is_wrong(kits: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(kits)
    with pytest.raises((InputError, IntegrityError), match=words):
        load_node_kit(kits / "node-1")


def test_time_is_checked(kits: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(InputError, match=r"tls.pem: certificate expired on .*`afml keys renew`"):
        load_node_kit(kits / "node-1", now=now + dt.timedelta(days=731))
    with pytest.raises(InputError, match="certificate is valid from"):
        load_aggregator_kit(kits / "aggregator", now=now - dt.timedelta(days=1))


def test_the_wrong_folder_is_refused(kits: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kit does not exist"):
        load_node_kit(tmp_path / "nowhere")
    for made, load, told in (
        ("node-1", load_aggregator_kit, "is the kit of a node; give that of an aggregator"),
        ("aggregator", load_node_kit, "is the kit of an aggregator; give that of a node"),
    ):
        with pytest.raises(InputError, match=told):
            load(kits / made)
    # A kit that does not say whose it is: its certificate does.
    for made, load, told in (
        ("node-1", load_aggregator_kit, "does not name"),
        ("aggregator", load_node_kit, "no node"),
    ):
        bare = Path(shutil.copytree(kits / made, tmp_path / made))
        (bare / "request.json").unlink()
        with pytest.raises(InputError, match=told):
            load(bare)


def test_peer_names_are_bound_to_the_roster(kits: Path) -> None:
    roster = load_aggregator_kit(kits / "aggregator").roster
    uri = "afml://Nordic%20%C3%BC%2F1/"
    assert node_of_peer([b"localhost", f"{uri}node/2".encode()], roster) == 2
    for names in (
        [],
        [f"{uri}node/4"],
        [f"{uri}aggregator"],
        ["afml://other/node/1"],
        [f"{uri}node/1", f"{uri}node/2"],
    ):
        with pytest.raises(TransportError, match="names no node"):
            node_of_peer(names, roster)


class _Echo(grpc.GenericRpcHandler):
    """Answers every call with the caller's node number."""

    def __init__(self, roster: object) -> None:
        self.roster = roster

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            names = context.auth_context()["x509_subject_alternative_name"]
            return str(node_of_peer(names, self.roster)).encode()  # type: ignore[arg-type]

        return grpc.unary_unary_rpc_method_handler(answer)


def _call(kits: Path, server: str, client: str) -> str:
    """One mutual-TLS call on loopback; `server` and `client` are kit folders."""

    def pem(folder: str, name: str) -> bytes:
        return (kits / folder / name).read_bytes()

    roster = load_aggregator_kit(kits / "aggregator").roster
    service = grpc.server(ThreadPoolExecutor(1), handlers=[_Echo(roster)])
    port = service.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials(
            [(pem(server, "tls.key"), pem(server, "tls.pem"))],
            pem(server, "ca.pem"),
            require_client_auth=True,
        ),
    )
    service.start()
    try:
        credentials = grpc.ssl_channel_credentials(
            pem("node-1", "ca.pem"), pem(client, "tls.key"), pem(client, "tls.pem")
        )
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            reply: bytes = channel.unary_unary("/x/y")(b"", timeout=10)
            return reply.decode()
    finally:
        service.stop(0)


def test_tls_binds_a_peer_to_its_roster_entry(kits: Path) -> None:
    assert _call(kits, "aggregator", "node-3") == "3"


def test_a_node_cannot_pose_as_the_aggregator(kits: Path) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        _call(kits, "node-2", "node-3")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_another_consortium_is_refused(kits: Path) -> None:
    make_kits(kits / "other", "Nordic ü/1", 3)
    for name in ("tls.key", "tls.pem"):
        shutil.copy(kits / "other" / "node-1" / name, kits / "node-3" / name)
    with pytest.raises(grpc.RpcError):
        _call(kits, "aggregator", "node-3")
