"""Where a run stands, as `afml status` reads it: whom it waits for, since when, and what a restart keeps of that."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from afml.consortium.makers import PUBLIC_PART, Maker
from afml.consortium.stage import Stage
from afml.core.errors import InputError
from afml.core.metrics import text
from afml.core.standing import FILE, STALE_S
from afml.operate.shown import ManyStatus
from afml.operate.status import status_of
from afml.operate.told import clock, lines
from aggregator.leases import Leases
from aggregator.metrics import of_aggregator, of_run
from aggregator.run import RUNS, Folder, ServedRun
from aggregator.scheme import Scheme
from aggregator.standing import Lookout, RunStanding, Serving
from tests.aggregator.machine import Machine, small_run
from tests.core.test_metrics import read


def lookout(machine: Machine, leases: Leases | None = None) -> Lookout:
    run = ServedRun(machine.config, machine.roster, Scheme(None, None), machine.store, Folder(machine.path))  # type: ignore[arg-type]
    return Lookout(
        run, machine.engine, Serving("127.0.0.1:7443", certificate_expires=2e9, started=1.0), leases or Leases()
    )


def seen(machine: Machine) -> RunStanding:
    """What a status would read now."""
    lookout(machine).look()
    return RunStanding.found(machine.path)


def awaited(machine: Machine) -> list[int]:
    return [node.node for node in seen(machine).awaited]


def states(machine: Machine) -> str:
    return " ".join(node.state for node in seen(machine).nodes)


def test_it_is_told_who_is_awaited_at_each_stage(machine: Machine) -> None:
    machine.enrol(1, 3)
    assert (seen(machine).stage, awaited(machine)) == (Stage.ENROLLING, [2, 4])
    assert states(machine) == "enrolled not enrolled enrolled not enrolled"
    machine.enrol(2, 4)
    machine.ready(2)
    assert (seen(machine).stage, awaited(machine)) == (Stage.GATHERING, [1, 3, 4])
    machine.ready(1, 3, 4)
    machine.upload(1, 4)
    at = seen(machine)
    assert (at.stage, at.round, at.attempt, awaited(machine)) == (Stage.OPEN, 1, 1, [2, 3])
    assert states(machine) == "sent sending sending sent"
    assert at.update_bytes == 100
    machine.upload(2, 3)
    assert (seen(machine).stage, awaited(machine)) == (Stage.SUMMING, [])
    machine.publish()
    assert (seen(machine).round, seen(machine).published) == (2, 1)
    machine.play_round()
    machine.report(2, 2)
    assert (seen(machine).stage, awaited(machine)) == (Stage.FINISHED, [1, 3, 4])


def test_who_has_left_is_not_awaited(machine: Machine) -> None:
    machine.enrol()
    machine.leave(3)
    assert awaited(machine) == [1, 2, 4]
    assert states(machine) == "enrolled enrolled left enrolled"


def test_of_a_node_that_takes_part_it_is_told_since_when_no_process_of_it_is_connected(machine: Machine) -> None:
    leases, now = Leases(), time.time()
    watching = lookout(machine, leases)

    def absent() -> dict[int, float | None]:
        watching.look()
        return {node.node: node.absent for node in RunStanding.found(machine.path).nodes}

    assert absent() == dict.fromkeys((1, 2, 3, 4)), "nobody has enrolled"
    machine.enrol()
    machine.ready()
    for node in (1, 2, 3):
        leases.claim(node, machine.leases[node], "somewhere:1")
    with leases.following(1), leases.following(2):
        with leases.following(3):
            assert absent() == {1: None, 2: None, 3: None, 4: 1.0}, "4 was not heard of since this process began"
        gone = absent()[3]
        assert gone is not None
        assert gone >= now
        told = list(lines(status_of(machine.path)))
        assert f"  node 3: sending, awaited; no process of it is connected, since {clock(gone)}" in told
        assert "  node 2: sending, awaited" in told
        found = read(text(of_run(RunStanding.found(machine.path))))
        assert [labels["node"] for name, labels, value in found if name == "afml_run_node_absent" and value] == [
            "3",
            "4",
        ]
        machine.leave(3)
        assert absent()[3] is None, "nobody misses it"
    watching.look(ended="stopped")
    assert not [line for line in lines(status_of(machine.path)) if "connected" in line], "nobody listens any more"


def test_a_lost_attempt_says_why(machine: Machine) -> None:
    machine.enrol()
    machine.ready()
    machine.decline(2, 1, 1)
    assert (seen(machine).attempt, seen(machine).reason) == (2, "node 2 declined")


def test_a_stage_is_dated_once_also_over_a_restart(machine: Machine) -> None:
    machine.enrol()
    since = seen(machine).since
    machine.ready(1)
    machine.restart()
    assert seen(machine).since == since
    machine.ready(2, 3, 4)
    assert seen(machine).since >= since


def test_time_left_follows_from_the_rounds_so_far(tmp_path: Path) -> None:
    machine = Machine(tmp_path, small_run(public_part=False))
    machine.enrol()
    assert seen(machine).seconds_left is None
    watching = lookout(machine)
    machine.time += 6.0
    machine.play_round()
    watching.look()
    assert RunStanding.found(machine.path).seconds_left == RunStanding.found(machine.path).round_seconds == 6.0
    machine.store.close()


def test_no_time_is_told_of_a_run_before_its_public_part_is_made(machine: Machine) -> None:
    """Rounds are: nobody knows how long that will take."""
    machine.enrol()
    watching = lookout(machine)
    machine.time += 6.0
    machine.play_round()
    watching.look()
    found = RunStanding.found(machine.path)
    assert (found.public, found.seconds_left, found.seconds_of_rounds) == ("to come", None, 6.0)
    machine.store.makers.put(PUBLIC_PART, Maker(1))
    assert seen(machine).public == "under way"
    machine.store.makers.put(PUBLIC_PART, Maker(1, done=True))
    watching.look()
    found = RunStanding.found(machine.path)
    assert (found.public, found.seconds_left) == ("", 6.0)


def test_a_process_that_writes_no_more_is_silent(machine: Machine) -> None:
    at = seen(machine)
    assert at.alive(at.written)
    assert not at.alive(at.written + STALE_S)
    assert not at.model_copy(update={"ended": "stopped"}).alive(at.written)


def test_the_end_is_written_down(machine: Machine) -> None:
    async def serve(fails: bool) -> None:
        async with lookout(machine).looking():
            await asyncio.sleep(0)
            if fails:
                raise OSError(28, "No space left on device")

    asyncio.run(serve(fails=False))
    assert RunStanding.found(machine.path).ended == "stopped"
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(serve(fails=True))
    assert "No space left" in RunStanding.found(machine.path).ended


def test_a_disk_that_takes_nothing_ends_no_run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    watching, before = lookout(machine), (machine.path / FILE).read_bytes()

    def full(_: Path, __: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    machine.enrol()
    watching.look()
    assert (machine.path / FILE).read_bytes() == before
    assert not list(machine.path.glob(f".*{FILE}"))


def test_a_standing_of_another_version_is_called_that(machine: Machine) -> None:
    seen(machine)
    stored = json.loads((machine.path / FILE).read_text())
    (machine.path / FILE).write_text(json.dumps(stored | {"stage": "dancing"}))
    with pytest.raises(InputError, match="is of another version of AFML"):
        RunStanding.found(machine.path)
    lookout(machine)  # and stops nobody from serving the run
    assert RunStanding.found(machine.path).stage is Stage.ENROLLING


def test_figures_are_those_of_the_standing(machine: Machine) -> None:
    machine.enrol()
    machine.ready(1)
    found = read(text(of_run(seen(machine))))
    assert [labels["stage"] for name, labels, value in found if name == "afml_run_stage" and value] == ["gathering"]
    assert {labels["node"]: value for name, labels, value in found if name == "afml_run_node_awaited"} == {
        "1": 0.0, "2": 1.0, "3": 1.0, "4": 1.0,
    }  # fmt: skip
    assert ("afml_run_rounds", {}, 2.0) in found
    assert "afml_data_free_bytes" in {name for name, _, _ in read(text(of_aggregator(machine.path)))}
    assert list(of_aggregator(machine.path / "nothing"))  # before the run is served, of the process alone


def test_of_many_runs_each_has_figures_of_its_own(machine: Machine, tmp_path: Path) -> None:
    now = seen(machine)
    for run in ("a", "b"):
        (tmp_path / "many" / RUNS / run).mkdir(parents=True)
        now.model_copy(update={"run": run}).keep(tmp_path / "many" / RUNS / run)
    page = text(of_aggregator(tmp_path / "many"))
    assert page.count("# TYPE afml_run_round gauge") == 1
    assert {(labels["run"], value) for name, labels, value in read(page) if name == "afml_run_rounds"} == {
        ("a", 2.0), ("b", 2.0),
    }  # fmt: skip
    found = status_of(tmp_path / "many")
    assert isinstance(found, ManyStatus)
    assert [one.standing.run for one in found.runs] == ["a", "b"]
    assert "run b of consortium test" in "\n".join(lines(found))
