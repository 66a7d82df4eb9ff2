"""What an operator sees of a real run: whom it waits for, what goes on, what is left, and figures for Prometheus."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.space import MARGIN, aggregator_bytes, largest_update
from afml.core.errors import InputError
from afml.core.standing import STALE_S
from afml.operate.shown import NodeStatus
from afml.operate.status import status_of
from afml.operate.told import lines
from afml.trial.processes import free_port
from aggregator.standing import RunStanding
from node.journal import Journal
from node.standing import PartStanding
from node.workspace import Workspace
from tests.cli.zygote import Zygote
from tests.core.test_metrics import read
from tests.federation.parties import Consortium
from tests.processes import listening, until


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = Consortium.build(tmp_path_factory.mktemp("operator"), people=40)
    made.configure(game=False, seed=None, deadline_s=600.0)
    yield made
    made.stop()


def _figures(port: int) -> dict[tuple[str, str], float]:
    """(name, node or stage or kind) -> value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        return {(name, next(iter(labels.values()), "")): value for name, labels, value in read(page.read().decode())}


def _status(afml: Zygote, *arguments: object) -> dict[str, Any]:
    done = afml("status", *arguments, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def _enrolled(consortium: Consortium) -> int:
    try:
        nodes = RunStanding.found(consortium.data()).nodes
    except InputError:
        return 0
    return sum(node.state != "not enrolled" for node in nodes)


@pytest.fixture(scope="module")
def finished(consortium: Consortium, afml: Zygote) -> Consortium:
    """The run from beginning to end, looked at on the way."""
    port, figures, own = free_port(), free_port(), free_port()
    aggregator = consortium.start(
        "aggregator", "aggregator", "--kit", consortium.kit("aggregator"), "--run", consortium.run_file(),
        "--data", consortium.data(), "--listen", f"127.0.0.1:{port}", "--metrics", f"127.0.0.1:{figures}",
    )  # fmt: skip
    listening(port)
    _doctor(consortium, afml, port)
    first = consortium.start(
        "node-1", "node", "--kit", consortium.kit(1), "--work", consortium.work(1), "--run", consortium.run_file(),
        "--aggregator", f"127.0.0.1:{port}", "--metrics", f"127.0.0.1:{own}",
    )  # fmt: skip
    until(lambda: _enrolled(consortium) == 1)
    _while_nodes_are_awaited(consortium, afml, figures, own)
    others = [consortium.start_node(node, port) for node in (2, 3)]
    assert [process.wait(300) for process in (first, *others, aggregator)] == [0, 0, 0, 0], consortium.log("node-1")
    return consortium


def _doctor(consortium: Consortium, afml: Zygote, port: int) -> None:
    done = afml(
        "doctor", "--kit", consortium.kit(2), "--work", consortium.work(2), "--run", consortium.run_file(),
        "--aggregator", f"localhost:{port}", "--json",
    )  # fmt: skip
    assert done.code == 0, done.out + done.err
    found = {one["what"]: one for one in json.loads(done.out)}
    assert {"ok"} == {found[what]["state"] for what in ("kit", "run", "data", "task", "ledger", "handshake", "clock")}
    done = afml(
        "doctor", "--kit", consortium.kit("aggregator"), "--run", consortium.run_file(), "--data", consortium.data(),
        "--listen", f"127.0.0.1:{port}",
    )  # fmt: skip
    assert done.code == 0, done.out + done.err
    assert "is served by process" in done.out


def _while_nodes_are_awaited(consortium: Consortium, afml: Zygote, figures: int, own: int) -> None:
    found = _status(afml, consortium.data())
    assert (found["state"], found["standing"]["stage"], found["awaited"]) == ("running", "enrolling", [2, 3])
    assert found["waiting_s"] >= 0
    assert 720 < found["certificate_days"] < 731
    told = afml("status", consortium.data()).out
    assert "awaited: node 2, node 3\n" in told
    assert "0 of 3 rounds published, quorum 3" in told
    scraped = _figures(figures)
    assert [scraped["afml_run_node_awaited", str(node)] for node in (1, 2, 3)] == [0, 1, 1]
    assert scraped["afml_run_stage", "enrolling"] == 1
    part = _status(afml, consortium.work(1), "--kit", consortium.kit(1))["parts"][0]
    assert (part["run"], part["state"], part["standing"]["kind"]) == ("run", "running", "enrolled")
    assert part["plan"]["state"] == "open"
    assert _figures(own)["afml_node_doing", "enrolled"] == 1


def test_after_the_end_both_sides_say_so(finished: Consortium, afml: Zygote) -> None:
    found = _status(afml, finished.data())
    assert (found["state"], found["standing"]["stage"], found["standing"]["published"]) == ("stopped", "finished", 3)
    assert {node["state"] for node in found["standing"]["nodes"]} == {"reported"}
    assert found["standing"]["update_bytes"] > found["standing"]["parameters"]
    found = _status(afml, finished.work(1), "--kit", finished.kit(1))
    assert [(part["state"], part["applied"], part["plan"]["state"]) for part in found["parts"]] == [
        ("finished", 3, "finished")
    ]
    budget = found["budget"]
    assert 0 < budget["spent"] < budget["limit"]
    assert budget["left"] == pytest.approx((budget["limit"] ** 2 - budget["spent"] ** 2) ** 0.5, abs=1e-3)
    told = afml("status", finished.work(1), "--watch").out  # which ends where no process works
    assert "run run: finished; the model is there" in told
    assert "sigma spent or set aside at delta 1e-05" in told


def test_the_room_that_a_doctor_asks_for_was_enough(finished: Consortium) -> None:
    run = finished.configure(game=False, seed=None, deadline_s=600.0)
    assert 2 * largest_update(run) < aggregator_bytes(run) - MARGIN
    assert list((finished.data() / "sums").iterdir()) == [], "everybody has the model"
    assert not list(finished.work(1).glob("runs/*/outbox/*"))


def _part(work: Workspace) -> NodeStatus:
    found = status_of(work.root)
    assert isinstance(found, NodeStatus)
    return found


def test_a_process_that_was_killed_is_told_from_one_that_works(
    finished: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.work(1), tmp_path / "work")
    work = Workspace(tmp_path / "work")
    shutil.rmtree(work.models)
    folder = work.run("run")
    last = PartStanding.found(folder)
    assert last.ended == "finished"
    monkeypatch.setattr("afml.operate.status.time.time", lambda: last.written)
    going = last.model_copy(update={"ended": "", "kind": "training", "doing": "round 2/3 (risk): training"})
    for changes, state, told in (
        ({}, "running", "run run: round 2/3 (risk): training, since"),
        ({"written": last.written - STALE_S - 1}, "silent", "its process has written nothing since"),
        ({"written": last.written + STALE_S + 1}, "silent", "its process has written nothing since"),  # clock set back
        ({"ended": "connection lost"}, "stopped", "run run: stopped, 3 rounds applied (connection lost)"),
    ):
        going.model_copy(update=changes).keep(folder)
        found = _part(work)
        assert [(part.state, part.applied) for part in found.parts] == [(state, 3)]
        assert told in "\n".join(lines(found))
    journal = Journal(folder)
    journal.end("run run: has failed")
    journal.close()
    assert [(part.state, part.why) for part in _part(work).parts] == [("ended", "run run: has failed")]


@pytest.mark.parametrize("folder", ["", "kits"])
def test_a_folder_of_nobody_is_refused(finished: Consortium, afml: Zygote, folder: str) -> None:
    complaint = afml("status", finished.root / folder).complaint()
    assert "is neither an aggregator's nor a node's folder" in complaint
