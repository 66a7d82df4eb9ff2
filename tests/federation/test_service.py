"""Aggregators as a service: one that is killed is replaced by another, and one serves many runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from afml.consortium.kit import load_roster
from afml.consortium.nodekit import load_node_kit
from afml.consortium.submission import submit
from afml.core.errors import ProtocolError
from afml.ledger import transcript
from afml.ledger.verify import Evidence, verify
from afml.trial.processes import free_port
from tests.federation.parties import Consortium
from tests.postgres import Server
from tests.processes import afml, until

KILLED = -9
NODES = 3


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("failover"), nodes=NODES, people=40)
    yield made
    made.stop()


@dataclass
class Pair:
    """Two aggregators, each with a folder and a port of its own."""

    consortium: Consortium
    name: str
    url: str
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])

    def root(self, which: int) -> Path:
        return self.consortium.root / f"aggregator-{self.name}-{which}"

    def data(self, which: int) -> Path:
        """Of the run."""
        return self.root(which) / "runs" / self.name if which else self.root(which)

    def log(self, which: int) -> str:
        return self.consortium.log(f"aggregator-{self.name}-{which}")

    def start(self, which: int, crash: str = "") -> subprocess.Popen[bytes]:
        """The first serves this run alone, the other one whatever is submitted."""
        alone = ("--run", self.consortium.run_file(self.name)) if which == 0 else ()
        return self.consortium.start(
            f"aggregator-{self.name}-{which}", "aggregator", "--kit", self.consortium.kit("aggregator"), *alone,
            "--data", self.root(which), "--store", self.url, "--listen", f"127.0.0.1:{self.ports[which]}", crash=crash,
        )  # fmt: skip

    def start_node(self, node: int) -> subprocess.Popen[bytes]:
        both = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return self.consortium.start(
            f"node-{node}", "node", "--kit", self.consortium.kit(node), "--work", self.consortium.work(node),
            "--run", self.consortium.run_file(self.name), "--aggregator", both, "--simulation",
        )  # fmt: skip

    def told(self) -> str:
        parts = [f"aggregator-{self.name}-0", f"aggregator-{self.name}-1", *(f"node-{n}" for n in range(1, NODES + 1))]
        return "\n".join(f"--- {part}\n{self.consortium.log(part)[-1500:]}" for part in parts)


# Each of the two dies once, and the first comes back: one with updates that are on its disk alone, the other with the
# sum of a round that is not published, and a line of the transcript that nobody else has.
DEATHS = ["after aggregator.engine:Engine.uploaded 2", "after afml.ledger.transcript:Appender.append 1"]


def test_the_other_machine_goes_on_with_the_same_bits(consortium: Consortium, postgres: Server) -> None:
    config = consortium.configure("failover", game=False, reserve_attempts=4)
    pair = Pair(consortium, "failover", postgres.database())
    first = pair.start(0, DEATHS[0])
    until(lambda: '"serving"' in pair.log(0))
    assert "serves one run alone; start it without --run" in _submit(consortium, "failover", pair.ports[0])
    nodes = [pair.start_node(node) for node in range(1, NODES + 1)]
    second = pair.start(1, DEATHS[1])
    until(lambda: '"serving many runs"' in pair.log(1))
    assert "is served" in _submit(consortium, "failover", pair.ports[1])
    until(lambda: "updates lost" in pair.log(1) or second.poll() is not None)  # it has taken over
    third = pair.start(0)
    for process, code in ((first, KILLED), (second, KILLED), (third, 0), *((node, 0) for node in nodes)):
        assert process.wait(240) == code, pair.told()
    assert {consortium.model_card(n, "failover")["digest"] for n in config.nodes} == {
        consortium.reference(config).digest()
    }

    roster = load_roster(consortium.kit(1))
    written = pair.data(0) / "transcript.jsonl"
    rounds = transcript.read(written, bytes.fromhex(roster.aggregator_key))
    assert [(one.round, one.attempt) for one in rounds] == [(n, 1) for n in range(1, config.rounds + 1)]
    for node in config.nodes:
        assert len(consortium.spends(node, "failover")) == config.rounds, "no attempt was lost"
        key = bytes.fromhex(roster.member(node).signing_key)
        result = verify(consortium.work(node) / "ledger", key=key, node=node, evidence=Evidence(transcript=rounds))
        assert result.ok, [vars(finding) for finding in result.findings]
    assert (pair.data(1) / "transcript.jsonl").exists(), "of the life that ended there: nobody else has its line"


# -- many runs -----------------------------------------------------------------------------------------


def _submit(consortium: Consortium, name: str, port: int, kit: str | int = "coordinator") -> str:
    """What `afml run submit` says, well or badly."""
    told = afml("run", "submit", consortium.run_file(name), "--kit", consortium.kit(kit),
                "--aggregator", f"127.0.0.1:{port}")  # fmt: skip
    assert told.returncode in (0, 5), told.stderr
    return str(told.stdout + told.stderr).strip()


def test_one_process_serves_many_runs_in_their_order(consortium: Consortium) -> None:
    port, data, names = free_port(), consortium.root / "many", ("first", "second")
    configs = [consortium.configure(name, game=False) for name in names]
    many = ("aggregator", "--kit", consortium.kit("aggregator"), "--data", data, "--listen", f"127.0.0.1:{port}",
            "--at-once", 1)  # fmt: skip
    aggregator = consortium.start("many", *many)
    early = consortium.start_node(1, port, "second")  # and waits
    until(lambda: "was not submitted here" in consortium.log("node-1"))
    assert _submit(consortium, "first", port) == "run first is served: nodes may be started"
    assert _submit(consortium, "second", port, kit=1) == (
        "run second waits for its turn, 0 before it; nodes may be started, and wait"
    )
    until(lambda: "waits for its turn" in consortium.log("node-1"))
    aggregator.kill()  # what was submitted is remembered
    aggregator.wait()
    aggregator = consortium.start("many", *many)
    early.terminate()
    assert early.wait(60) == 0
    for config in configs:
        nodes = [consortium.start_node(n, port, config.run) for n in config.nodes]
        for process in nodes:
            assert process.wait(240) == 0, consortium.log("many") + consortium.log("node-1")
        found = {consortium.model_card(n, config.run)["digest"] for n in config.nodes}
        assert found == {consortium.reference(config).digest()}
        assert len((data / "runs" / config.run / "transcript.jsonl").read_text().splitlines()) == config.rounds
    log = consortium.log("many")
    assert log.index('"first", "event": "over"') < log.rindex('"second", "address"')

    until(lambda: _submit(consortium, "second", port) == "run second is over; it was submitted before")
    shown = afml("status", data)
    assert "2 runs" in shown.stdout
    assert "run second of consortium test" in shown.stdout
    _refusals(consortium, port)
    aggregator.terminate()
    assert aggregator.wait(60) == 0


def _refusals(consortium: Consortium, port: int) -> None:
    consortium.configure("first", game=False, seed=12)
    assert "another run of this name was submitted before; give it another name" in _submit(consortium, "first", port)
    told = afml(
        "run", "submit", consortium.run_file("second"), "--kit", consortium.kit("aggregator"), "--aggregator", "a:1"
    )
    assert "use the coordinator's kit, or an institution's" in told.stderr
    address, kit = f"127.0.0.1:{port}", load_node_kit(consortium.kit(1))
    consortium.configure("third", game=False)
    path = consortium.run_file("third")
    for papers, told in (
        ((path.read_bytes(), bytes(64)), "signature"),
        ((path.read_bytes() + b" ", consortium.run_file("first").with_suffix(".sig").read_bytes()), "signature"),
        ((b"{}", bytes(64)), "is missing"),
        ((b"\xff" * 100, b""), "cannot be parsed"),
    ):
        forged = consortium.root / "forged.json"
        forged.write_bytes(papers[0])
        forged.with_suffix(".sig").write_bytes(papers[1])
        with pytest.raises(ProtocolError, match=told) as refused:
            submit(forged, address, consortium.kit(1), kit.tls)
        assert str(consortium.root) not in str(refused.value)
    assert not list((consortium.root / "many").glob(".submitted*"))
    assert not (consortium.root / "many" / "runs" / "third").exists()
