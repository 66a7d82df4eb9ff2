"""Whom a run is handed to: the aggregator on the roster, by a certificate that counts, and nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium import installing, ownkeys, provision, submission
from afml.consortium.authority import Authority
from afml.consortium.history import load_roster
from afml.consortium.kit import TlsIdentity, load_aggregator_kit, load_tls, party_uri
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST, read_request
from afml.consortium.runfile import write_run
from afml.consortium.tls import server_credentials
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationServicer, add_FederationServicer_to_server
from tests.ledger.helpers import config


class Taker(FederationServicer):
    """Takes every run, and remembers that."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def SubmitRun(self, request: wire.SignedRun, _: Any) -> wire.RunPlace:
        self.taken.append(request.config)
        return wire.RunPlace(turn=wire.TURN_SERVED)


@contextmanager
def taking(tls: TlsIdentity, port: int) -> Iterator[Taker]:
    server, taker = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)]), Taker()
    add_FederationServicer_to_server(taker, server)  # type: ignore[no-untyped-call]
    assert server.add_secure_port(f"127.0.0.1:{port}", server_credentials(tls)) == port
    server.start()
    try:
        yield taker
    finally:
        server.stop(0).wait()


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    kits = tmp_path / "kits"
    make_kits(kits, "north", 2)
    run = config("first").model_copy(update={"consortium": "north"})
    write_run(tmp_path / "run.json", run, provision.load_coordinator_key(kits / "coordinator"))
    return kits


def _handed(kits: Path, ports: list[int], party: str = "coordinator") -> str:
    """What `afml run submit` says, well or badly."""
    address = ",".join(f"127.0.0.1:{port}" for port in ports)
    arguments = ["run", "submit", kits.parent / "run.json", "--kit", kits / party, "--aggregator", address]
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    return str(done.exception or done.output)


@pytest.mark.parametrize("party", ["coordinator", "node-1"])
def test_a_run_is_handed_to_the_rosters_aggregator_alone(kits: Path, party: str) -> None:
    stolen, port = Path(shutil.copytree(kits / "aggregator", kits / "stolen")), free_port()
    with taking(load_aggregator_kit(kits / "aggregator").tls, port) as taker:
        assert "run first is served" in _handed(kits, [free_port(), port], party)
        assert len(taker.taken) == 1
    ownkeys.renew(kits / "aggregator")
    provision.renew([kits / "aggregator" / REQUEST], kits / "coordinator", kits / "renewed")
    installing.install(kits / "renewed" / "aggregator", kits / "aggregator")
    if party == "node-1":  # the coordinator's kit knows it already
        with taking(load_aggregator_kit(kits / "aggregator").tls, port):
            assert "run first is served" in _handed(kits, [port], party)
    with taking(load_aggregator_kit(stolen).tls, port) as taker:
        assert "was renewed or revoked" in _handed(kits, [port], party)
        assert taker.taken == []


def test_no_other_party_that_may_serve_tls_is_given_a_run(kits: Path) -> None:
    """With another authority than the coordinator's a member's certificate may be for both ends, and for this host."""
    roster, port = load_roster(kits / "node-2"), free_port()
    ownkeys.make(kits / "poser", Party("aggregator", "north", ("127.0.0.1",)))
    request = read_request(kits / "poser" / REQUEST)
    authority = Authority.load(kits / "coordinator", roster.consortium)

    def other(consortium: str, party: str) -> str:
        return party_uri(consortium, "node/2" if party == "aggregator" else party)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("afml.consortium.kit.party_uri", other)
        pem = authority.certify("aggregator", request.tls_key, request.hosts, 30)
    shutil.copy(kits / "node-2" / "ca.pem", kits / "poser" / "ca.pem")
    (kits / "poser" / "tls.pem").write_bytes(pem)
    poser = load_tls(kits / "poser", roster, "node/2")
    with taking(poser, port) as taker:
        assert "what answers there is another party's" in _handed(kits, [port])
        assert taker.taken == []


def test_nobody_there_is_one_line(kits: Path) -> None:
    port = free_port()
    told = _handed(kits, [port])
    assert told.startswith(
        f"aggregator 127.0.0.1:{port}: does not answer (Connection refused); start `afml aggregator`"
    )


def test_who_takes_the_place_of_the_one_that_was_looked_at_is_given_nothing(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen, port = load_aggregator_kit(kits / "aggregator").tls, free_port()
    ownkeys.renew(kits / "aggregator")
    provision.renew([kits / "aggregator" / REQUEST], kits / "coordinator", kits / "renewed")
    installing.install(kits / "renewed" / "aggregator", kits / "aggregator")
    looked_at = load_aggregator_kit(kits / "aggregator").tls.certificate
    monkeypatch.setattr(submission, "shown_by", lambda *_: looked_at)
    monkeypatch.setattr(submission, "_ANSWER_S", 5.0)
    with taking(stolen, port) as taker:
        assert "does not answer" in _handed(kits, [port])
        assert taker.taken == []
