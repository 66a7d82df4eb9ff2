"""In the middle of a run an institution joins the roster, node and aggregator renew certificates, and nobody stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from afml.consortium.connection import NODE
from afml.consortium.history import load_roster
from afml.consortium.inforce import beginning
from afml.consortium.kit import load_certificate
from afml.consortium.nodekit import load_node_kit
from afml.consortium.request import REQUEST
from afml.consortium.tls import channel_credentials
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from tests.federation.parties import Consortium
from tests.processes import afml, until


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("membership"), people=40)
    yield made
    made.stop()


def _do(*arguments: object) -> str:
    done = afml(*arguments)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def _renew(consortium: Consortium, party: int | str) -> None:
    kit, out = consortium.kit(party), consortium.root / f"renewed-{party}"
    _do("keys", "renew", "--kit", kit)
    _do("consortium", "rotate", kit / REQUEST, "--kit", consortium.kit("coordinator"), "--out", out)
    _do("keys", "install", out / kit.name, "--kit", kit)


def _began(kit: Path) -> int:
    return beginning(load_certificate(kit / "tls.pem", "certificate"))


def _join(consortium: Consortium) -> None:
    """A fourth institution, as the commands of docs/OPERATIONS.md bring it in."""
    root, coordinator = consortium.root, consortium.kit("coordinator")
    _do("keys", "init", "--out", consortium.kit(4), "--name", "Tartu")
    told = _do("consortium", "add", consortium.kit(4) / REQUEST, "--kit", coordinator, "--out", root / "proposal")
    assert "node 4 (Tartu) joins" in told
    words: list[object] = []
    for node in (1, 3):
        word = root / f"word-{node}.json"
        said = _do("consortium", "countersign", root / "proposal", "--kit", consortium.kit(node), "--out", word)
        assert "node 4 (Tartu) joins" in said
        words += ["--countersigned", word]
    told = _do("consortium", "publish", root / "proposal", *words, "--kit", coordinator, "--out", root / "second")
    assert "countersigned by 2 of 3: 1 (node-1), 3 (node-3)" in told
    for party in (1, 2, 3, 4, "aggregator"):
        kit = consortium.kit(party)
        assert "version 2 of its roster, 4 institutions" in _do(
            "keys", "install", root / "second" / kit.name, "--kit", kit
        )


def test_a_run_goes_on_while_an_institution_joins_and_certificates_change(consortium: Consortium) -> None:
    config = consortium.configure("years", game=False, deadline_s=60.0, reserve_attempts=4)
    port = free_port()
    server = consortium.start_aggregator(port, "years")
    nodes = {n: consortium.start_node(n, port, "years") for n in (1, 2)}
    for n in nodes:
        until(lambda n=n: f"node {n}: enrolled" in consortium.log(f"node-{n}"))
    order = (consortium.run_file("years"), "--kit", consortium.kit("coordinator"), "--data", consortium.data("years"))
    _do("run", "pause", *order)
    before = load_node_kit(consortium.kit(1)).tls
    _renew(consortium, 1)
    _renew(consortium, "aggregator")
    _join(consortium)
    server.kill()  # whoever was connected has to connect again: to another certificate, node 1 with another one
    server.wait()
    server = consortium.start_aggregator(port, "years")
    nodes[3] = consortium.start_node(3, port, "years")
    began, seen = _began(consortium.kit(1)), consortium.data("years") / "seen.json"
    until(lambda: json.loads(seen.read_text())["node/1"] == began)
    with grpc.secure_channel(f"127.0.0.1:{port}", channel_credentials(before), NODE) as channel:
        stub = FederationStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            asked = wire.RunRef(run="years", config_digest=config.digest(), node=1)
            stub.ListEnrolments(asked, timeout=120, wait_for_ready=True)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    _do("run", "resume", *order)
    for n, process in nodes.items():
        assert process.wait(120) == 0, consortium.log(f"node-{n}")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert {consortium.model_card(n, "years")["digest"] for n in nodes} == {consortium.reference(config).digest()}
    for n in nodes:
        assert len(consortium.spends(n, "years")) == config.rounds
        _do(
            "audit", "verify", consortium.work(n) / "ledger", "--roster", consortium.kit(n) / "roster.json",
            "--node", n, "--transcript", consortium.data("years") / "transcript.jsonl",
        )  # fmt: skip


def test_what_was_signed_is_shown_to_whoever_asks(consortium: Consortium, tmp_path: Path) -> None:
    if load_roster(consortium.kit(1)).version == 1:
        _join(consortium)
    shown = _do("consortium", "show", "--kit", consortium.kit(4))
    assert [line for line in shown.splitlines() if line.startswith("version ")] != []
    assert "  node 4 (Tartu) joins" in shown
    first = tmp_path / "first.json"
    first.write_text(_do("consortium", "show", "--kit", consortium.kit(4), "--version", 1))
    assert '"version"' not in first.read_text()
    done = afml("consortium", "show", "--kit", consortium.kit(4), "--version", 3)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "there are versions 1 to 2" in done.stderr
