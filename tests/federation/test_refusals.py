"""What every party refuses, each time in one line that says why and how to mend it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from afml.consortium import installing, ownkeys
from afml.consortium.nodekit import load_node_kit
from afml.consortium.provision import load_coordinator_key, renew
from afml.consortium.request import REQUEST
from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.runfile import write_run
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from afml.wire import federation_pb2 as wire
from afml.wire.federation_pb2_grpc import FederationStub
from node.inuse import alone
from node.workspace import Workspace
from tests.cli.zygote import Outcome, Zygote
from tests.federation.parties import Consortium
from tests.policies import allow_trials
from tests.processes import REPOSITORY, environment, listening, until


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("refusals"), people=40)
    made.configure(game=False, deadline_s=600.0)  # an aggregator waits for nodes as long as the tests here may take
    yield made
    made.stop()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, consortium: Consortium) -> Path:
    """Kits of another consortium of the same name and institutions, whose coordinator signed the same run."""
    kits = tmp_path_factory.mktemp("stranger") / "kits"
    make_kits(kits, "test", 3, like=consortium.root / "kits")
    allow_trials(kits)
    run = RunConfig.load(consortium.run_file())
    write_run(kits.parent / "run.json", run, load_coordinator_key(kits / "coordinator"))
    return kits


@pytest.fixture(scope="module")
def port(consortium: Consortium) -> Iterator[int]:
    """An aggregator that serves the run "run", an interpreter of its own: what it maps is what it loaded."""
    number = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consortium, "popen", subprocess.Popen)
        process = consortium.start_aggregator(number)
    listening(number)
    yield number
    process.kill()


def _node(consortium: Consortium, afml: Zygote, port: int, **changes: object) -> Outcome:
    options: dict[str, object] = {
        "--kit": consortium.kit(1), "--work": consortium.work(1), "--run": consortium.run_file(),
        "--aggregator": f"127.0.0.1:{port}", "--wait": 0.5,
    } | {f"--{name}": value for name, value in changes.items()}  # fmt: skip
    return afml("node", "--simulation", *[part for pair in options.items() for part in pair])


def _aggregator(consortium: Consortium, afml: Zygote, port: object, **changes: object) -> Outcome:
    options: dict[str, object] = {
        "--kit": consortium.kit("aggregator"), "--run": consortium.run_file(),
        "--data": consortium.root / "aggregator-unused", "--listen": f"127.0.0.1:{port}",
    } | {f"--{name}": value for name, value in changes.items()}  # fmt: skip
    return afml("aggregator", *[part for pair in options.items() for part in pair])


# -- addresses and certificates ----------------------------------------------------------------------


def test_a_port_in_use(consortium: Consortium, afml: Zygote) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _aggregator(consortium, afml, port)
    assert done.code == 4
    assert f"127.0.0.1:{port}: cannot listen (Address already in use); stop the process" in done.complaint()
    assert not (consortium.root / "aggregator-unused").exists()


@pytest.mark.parametrize("address", ["nonsense", "0", "70000"])
def test_an_address_that_is_none(consortium: Consortium, afml: Zygote, address: str) -> None:
    changes = {"listen": address} if address == "nonsense" else {}
    assert "is not host:port; for example" in _aggregator(consortium, afml, address, **changes).complaint()


def test_a_second_aggregator_on_the_same_folder(consortium: Consortium, afml: Zygote, port: int) -> None:
    done = _aggregator(consortium, afml, free_port(), data=consortium.data())
    assert "another afml aggregator works in this folder; stop it first" in done.complaint()


def test_preparing_while_somebody_reads(consortium: Consortium, afml: Zygote) -> None:
    node, work = consortium.start_node(3, free_port()), consortium.work(3)  # waits for an aggregator
    until((work / "runs" / "run" / ".lock").exists)
    card = (work / "card.json").stat().st_ino
    (line,) = consortium.prepare(3, **{"--min-maf": 0.02}).stderr.splitlines()
    assert line == f"afml: {work}: another command (`afml node`, for one) works in this folder; stop it first"
    assert ((work / "card.json").stat().st_ino, list(work.glob(".prepare-*"))) == (card, [])
    node.kill()
    node.wait()
    with alone(Workspace(work)):
        done = _node(consortium, afml, free_port(), kit=consortium.kit(3), work=work)
        assert f"{work}: `afml prepare` works in this folder; stop it first" in done.complaint()
    consortium.prepare(3)


def test_nobody_listens(consortium: Consortium, afml: Zygote) -> None:
    port = free_port()
    done = _node(consortium, afml, port)
    assert done.code == 4
    line = done.complaint()
    assert f"127.0.0.1:{port}: no aggregator answers (Connection refused)" in line
    assert "start `afml aggregator` there first" in line


def test_somebody_else_listens(consortium: Consortium, afml: Zygote) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = _node(consortium, afml, other.getsockname()[1])  # accepts and says nothing
    assert done.code == 4
    assert "no aggregator answers" in done.complaint()


def test_a_kit_of_another_consortium(consortium: Consortium, stranger: Path, afml: Zygote, port: int) -> None:
    done = _node(consortium, afml, port, kit=stranger / "node-1", run=stranger.parent / "run.json")
    assert done.code == 4
    line = done.complaint()
    assert "the aggregator's certificate is refused" in line
    assert "both kits come from one provisioning" in line


def test_a_certificate_of_another_consortium_is_turned_away_by_the_aggregator(
    consortium: Consortium, stranger: Path, afml: Zygote, port: int, tmp_path: Path
) -> None:
    """The node trusts the right authority and shows the wrong certificate: TLS itself refuses."""
    kit = load_node_kit(stranger / "node-1")
    ca = (consortium.kit(1) / "ca.pem").read_bytes()
    for credentials in (
        grpc.ssl_channel_credentials(ca, kit.tls.key, kit.tls.certificate),
        grpc.ssl_channel_credentials(ca),  # no certificate at all
    ):
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            stub = FederationStub(channel)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.RpcError) as refused:
                stub.ListEnrolments(wire.RunRef(run="run", node=1), timeout=10)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    mixed = shutil.copytree(stranger / "node-1", tmp_path / "mixed")
    shutil.copy(consortium.kit(1) / "ca.pem", mixed / "ca.pem")
    line = _node(consortium, afml, port, kit=mixed, run=stranger.parent / "run.json").complaint()
    assert "tls.pem: certificate was not issued by this consortium; install the coordinator's answer" in line


def test_a_certificate_for_another_host(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    kit = shutil.copytree(consortium.kit("aggregator"), tmp_path / "aggregator")
    ownkeys.renew(kit, ["elsewhere.example"])
    renew([kit / REQUEST], consortium.kit("coordinator"), tmp_path / "answers")
    installing.install(tmp_path / "answers" / "aggregator", kit)
    number = free_port()
    process = consortium.start(
        "elsewhere", "aggregator", "--kit", kit, "--run", consortium.run_file(), "--data", tmp_path / "data",
        "--listen", f"127.0.0.1:{number}",
    )  # fmt: skip
    listening(number)
    done = _node(consortium, afml, number)
    process.kill()
    assert done.code == 4
    line = done.complaint()
    assert "certificate is refused (IP address mismatch" in line
    assert "check that the address is in its certificate" in line


def test_a_node_may_not_speak_for_another(consortium: Consortium, port: int) -> None:
    kit = load_node_kit(consortium.kit(2))
    credentials = grpc.ssl_channel_credentials(kit.tls.ca, kit.tls.key, kit.tls.certificate)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        stub = FederationStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            stub.Leave(wire.LeaveNotice(run="run", node=1), timeout=10)
    assert "the certificate belongs to node 2, the message claims node 1" in refused.value.details()


# -- files -------------------------------------------------------------------------------------------


def test_a_run_altered_after_it_was_signed(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    altered = tmp_path / "run.json"
    text = consortium.run_file().read_text()
    assert '"noise_multiplier":4.0' in text
    altered.write_text(text.replace('"noise_multiplier":4.0', '"noise_multiplier":0.4'))
    shutil.copy(consortium.run_file().with_suffix(".sig"), altered.with_suffix(".sig"))
    for done in (_node(consortium, afml, 1, run=altered), _aggregator(consortium, afml, 9, run=altered)):
        assert done.code == 6
        assert f"{altered}: signature does not match the roster's key" in done.complaint()


def test_a_run_without_a_signature_or_with_an_unknown_key(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    bare = tmp_path / "bare.json"
    bare.write_text(consortium.run_file().read_text())
    assert f"{tmp_path / 'bare.sig'}: run signature does not exist" in _node(consortium, afml, 1, run=bare).complaint()
    bare.write_text('{"surprise": 1,' + consortium.run_file().read_text()[1:])
    line = _node(consortium, afml, 1, run=bare).complaint()
    assert f"{bare}: says surprise, which this version of AFML does not know" in line
    bare.write_text("{")
    assert f"{bare}: cannot be parsed" in _node(consortium, afml, 1, run=bare).complaint()


def test_an_enrolment_that_is_not_the_cards(consortium: Consortium, afml: Zygote) -> None:
    config = RunConfig.load(consortium.run_file())
    consortium.configure("other-people", game=False, enrolled=config.enrolled | {1: 99})
    done = _node(consortium, afml, 1, run=consortium.run_file("other-people"))
    assert done.code == 2
    line = done.complaint()
    assert "the run declares 99 people at node 1, this work folder's card says" in line
    assert "give the coordinator the present card.json" in line


def test_people_changed_after_the_card_was_signed(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    work = shutil.copytree(consortium.work(1), tmp_path / "work")
    table = work / "people.tsv"
    table.write_text(table.read_text().replace("holdout", "train"))
    line = _node(consortium, afml, 1, work=work).complaint()
    assert "holds 40 enrolled people, the run declares" in line


def test_a_model_of_another_size_than_declared(consortium: Consortium, afml: Zygote, port: int) -> None:
    phase = Phase(name="risk", rounds=1, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                  learning_rate=1.0, parameters=7)  # fmt: skip
    consortium.configure("odd", phases=(phase,))
    line = _node(consortium, afml, port, run=consortium.run_file("odd")).complaint()
    assert "phase risk declares 7 parameters, the model has 49" in line


def test_a_key_that_others_can_read(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    for name in ("tls.key", "signing.key", "sealing.key"):
        kit = shutil.copytree(consortium.kit(1), tmp_path / name)
        (kit / name).chmod(0o640)
        line = _node(consortium, afml, 1, kit=kit).complaint()
        assert f"{kit / name}: key file is readable by others (mode 0640); chmod 600 '{kit / name}'" in line


def test_a_folder_that_is_not_prepared(consortium: Consortium, afml: Zygote, tmp_path: Path) -> None:
    line = _node(consortium, afml, 1, work=tmp_path).complaint()
    assert "work folder is not prepared; run `afml prepare` first" in line
    assert "kit does not exist" in _node(consortium, afml, 1, kit=tmp_path / "none").complaint()


# -- the budget --------------------------------------------------------------------------------------


def test_a_budget_too_small_for_the_plan(consortium: Consortium) -> None:
    consortium.configure("poor", game=False, budget=Budget(delta=1e-5, ple_sigma=0.1), deadline_s=240.0)
    port = free_port()
    nodes = {n: consortium.start_node(n, port, "poor") for n in (1, 2, 3)}  # refused before anybody is looked for
    for node, process in nodes.items():
        assert process.wait(300) == 3
        (line,) = [text for text in consortium.log(f"node-{node}").splitlines() if text.startswith("afml: ")]
        assert "would bring the charge to 0.5 of 0.1 sigma at delta 1e-05, the budget that this run names" in line
        assert "charged 0, left 0.1; 5" in line
        assert consortium.spends(node, "poor") == {}


# -- what the aggregator must not hold ---------------------------------------------------------------

FORBIDDEN = ("crypto.secret", "torch", "tenseal", "opacus", "cyvcf2", "pysam", "afml.genomics", "afml.masking.networks",
             "afml.training", "node")  # fmt: skip


def test_the_aggregator_does_not_load_what_it_must_not_hold() -> None:
    script = "import afml.cli.aggregator, sys; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment(), cwd=REPOSITORY
    ).stdout.split()
    assert "aggregator.service" in loaded
    assert [m for m in loaded if any(m == name or m.startswith(f"{name}.") for name in FORBIDDEN)] == []


def test_a_running_aggregator_maps_no_such_library(consortium: Consortium, port: int) -> None:
    serving = [
        process.pid for process in consortium.processes
        if process.poll() is None and str(port) in Path(f"/proc/{process.pid}/cmdline").read_text()
    ]  # fmt: skip
    assert len(serving) == 1
    maps = Path(f"/proc/{serving[0]}/maps").read_text()
    assert "grpc" in maps
    assert not [name for name in ("tenseal", "libtorch", "cyvcf2", "pysam", "libhts") if name in maps]
