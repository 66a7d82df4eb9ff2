"""Real processes that come, go and are told to: a run waits, names whom it waits for, and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from afml.consortium.kit import load_roster
from afml.consortium.orders import What
from afml.ledger import transcript
from afml.trial.processes import free_port
from node.serving.shelf import over_in
from node.workspace import Workspace
from tests.federation.parties import Consortium
from tests.processes import afml, listening, until

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("waiting"), people=40)
    yield made
    made.stop()


def _order(consortium: Consortium, what: str, name: str, *more: object, party: str = "coordinator") -> None:
    done = afml(
        "run", what, consortium.run_file(name), "--kit", consortium.kit(party), "--data", consortium.data(name), *more
    )
    assert done.returncode == 0, done.stderr


def test_a_run_outlives_its_aggregator_its_quorum_and_a_pause(consortium: Consortium) -> None:
    """Nobody is configured to be there at once, and nothing but the attempt under way is ever lost."""
    config = consortium.configure("patient", game=False, deadline_s=20.0, reserve_attempts=4)
    port = free_port()
    nodes = {n: consortium.start_node(n, port, "patient") for n in (1, 2)}
    for n in nodes:
        until(lambda n=n: "no answer from aggregator" in consortium.log(f"node-{n}"))
    server = consortium.start_aggregator(port, "patient")
    for n in nodes:
        until(lambda n=n: f"node {n}: enrolled" in consortium.log(f"node-{n}"))
    server.kill()  # while it enrols
    server.wait()
    server = consortium.start_aggregator(port, "patient")
    _order(consortium, What.PAUSE, "patient")
    until(lambda: "pause by the coordinator" in consortium.log("aggregator"))
    nodes[3] = consortium.start_node(3, port, "patient")
    for n in nodes:
        until(lambda n=n: "the run is paused: held by order" in consortium.log(f"node-{n}"))
    nodes[3].terminate()
    assert nodes[3].wait(60) == 0, consortium.log("node-3")
    until(lambda: '"node went away"' in consortium.log("aggregator"))
    assert "stopped as it was asked to; start it again" in consortium.log("node-3")
    _order(consortium, What.RESUME, "patient", party="aggregator")
    until(lambda: "nodes are there, node 3 (node-3) is absent" in consortium.log("aggregator"))
    until(lambda: "nodes are there, node 3 (node-3) is absent" in consortium.log("node-1"))
    nodes[3] = consortium.start_node(3, port, "patient")
    for n, process in nodes.items():
        assert process.wait(120) == 0, consortium.log(f"node-{n}")
    assert server.wait(60) == 0, consortium.log("aggregator")
    assert {consortium.model_card(n, "patient")["digest"] for n in nodes} == {consortium.reference(config).digest()}
    assert all(len(consortium.spends(n, "patient")) == config.rounds for n in nodes), "waiting cost nothing"
    key = bytes.fromhex(load_roster(consortium.kit(1)).aggregator_key)
    path = consortium.data("patient") / "transcript.jsonl"
    orders = [one.order for one in transcript.read_orders(path, key)]
    assert [(one.what, one.by) for one in orders] == [(What.PAUSE, "coordinator"), (What.RESUME, "aggregator")]
    for order in orders:
        order.check(config, load_roster(consortium.kit(1)))
    assert [one.round for one in transcript.read(path, key)] == list(range(1, config.rounds + 1))


def _enrolled(consortium: Consortium, node: int, port: int, run: str = "ended") -> subprocess.Popen[bytes]:
    """A node, started and enrolled; its log has lines of earlier runs."""
    log = f"node-{node}"
    before = len(consortium.log(log))
    process = consortium.start_node(node, port, run)
    until(lambda: f"node {node}: enrolled" in consortium.log(log)[before:])
    return process


def test_a_node_that_comes_too_late_frees_what_it_has_set_aside(consortium: Consortium) -> None:
    consortium.configure("begun", game=False, quorum=2, max_colluding=0, deadline_s=600.0)
    port = free_port()
    server = consortium.start_aggregator(port, "begun")
    listening(port)
    there = [_enrolled(consortium, node, port, "begun") for node in (1, 2)]
    _order(consortium, What.CLOSE_ENROLMENT, "begun")
    until(lambda: '"close-enrolment by the coordinator"' in consortium.log("aggregator"))
    assert consortium.start_node(3, port, "begun").wait(120) == 5
    told = "enrolment of run begun is closed: nodes 1, 2 are in it, and this one is not"
    assert f"{told}; what was set aside for it is free again; take part in the next run" in consortium.log("node-3")
    shown = json.loads(afml("audit", "show", consortium.work(3) / "ledger", "--json").stdout)["entries"]
    about = [entry for entry in shown if entry.get("run") == "begun"]
    assert [entry["kind"] for entry in about] == ["reservation", "closing"]
    assert about[-1]["reason"] == "left"
    assert told in over_in(Workspace(consortium.work(3)), "begun"), "a daemon takes it no more"
    assert consortium.start_node(3, port, "begun").wait(60) == 5
    assert f"has ended here for good ({told}" in consortium.log("node-3")
    for process in there:
        assert process.wait(120) == 0
    assert server.wait(60) == 0, consortium.log("aggregator")
    checked = afml("audit", "verify", consortium.work(3) / "ledger", "--roster", consortium.kit(3) / "roster.json",
                   "--node", 3, "--transcript", consortium.data("begun") / "transcript.jsonl")  # fmt: skip
    assert "nothing found" in checked.stdout, checked.stdout + checked.stderr


def test_a_node_that_leaves_and_a_run_that_is_ended_are_known_to_all_at_once(consortium: Consortium) -> None:
    consortium.configure("ended", game=False, quorum=2, max_colluding=0, deadline_s=600.0)
    port = free_port()
    server = consortium.start_aggregator(port, "ended")
    listening(port)
    first = _enrolled(consortium, 1, port)
    place = ("--kit", consortium.kit(3), "--work", consortium.work(3), "--run", consortium.run_file("ended"))
    third = _enrolled(consortium, 3, port)
    done = afml("node", "leave", *place, "--aggregator", f"127.0.0.1:{port}")
    assert "another afml node works in this folder; stop it first" in done.stderr
    third.terminate()
    assert third.wait(60) == 0
    done = afml("node", "leave", *place, "--aggregator", f"127.0.0.1:{port}")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "node 3 has left run ended" in done.stdout
    until(lambda: '"by-hand"' in consortium.log("aggregator"))
    assert consortium.start_node(3, port, "ended").wait(60) == 5
    assert "has ended here for good (its operator ended its part)" in consortium.log("node-3")
    refused = afml(
        "run", "abort", consortium.run_file("ended"), "--kit", consortium.kit(2), "--data", consortium.data("ended")
    )
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    _order(consortium, What.ABORT, "ended")
    assert first.wait(30) == 5
    assert "has failed, says the aggregator: ended by order" in consortium.log("node-1")
    assert server.wait(30) == 5
    assert consortium.spends(1, "ended") == {}
    assert not list(Path(consortium.data("ended") / "orders").glob("*.json"))
