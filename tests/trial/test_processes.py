"""Children that live and die together, on commands that need no AFML."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from afml.trial.processes import ChildFailed, Team, free_port

WAITS = "import time; time.sleep(3600)"
LIMIT_S = 120


def run(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def ends_with(code: int, line: str) -> str:
    return f"import sys; print({line!r}); print('later words'); sys.exit({code})"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def test_output_goes_to_a_log_of_its_own(logs: Path) -> None:
    with Team(logs) as team:
        team.wait([team.start_command("one", run("print('said')")), team.start_command("two", run("print('too')"))])
    assert (logs / "one.log").read_text() == "said\n"
    assert (logs / "two.log").read_text() == "too\n"


def test_nothing_of_the_present_folder_is_imported(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "afml").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Team, "launch", subprocess.Popen)
    with Team(logs) as team:
        team.wait([team.start("version", ["--version"])])
    assert (logs / "version.log").read_text().startswith("afml")


def test_a_failure_names_the_child_its_complaint_and_its_log(logs: Path) -> None:
    with Team(logs) as team, pytest.raises(ChildFailed, match="one: no such file") as failure:
        team.wait([team.start_command("one", run(ends_with(2, "afml: no such file")))])
    assert failure.value.exit_code == 2
    assert str(logs / "one.log") in str(failure.value)


def test_without_a_complaint_the_last_line_speaks(logs: Path) -> None:
    with Team(logs) as team, pytest.raises(ChildFailed, match="later words"):
        team.wait([team.start_command("one", run(ends_with(1, "earlier words")))])


def test_a_cause_is_told_before_what_followed_from_it(logs: Path) -> None:
    """A node that refuses (3) makes the run fail (5) at the others."""
    with Team(logs) as team:
        refused = team.start_command("refused", run(ends_with(3, "afml: over budget")))
        refused.process.wait(LIMIT_S)
        followed = team.start_command("followed", run(ends_with(5, "afml: the run failed")))
        followed.process.wait(LIMIT_S)
        with pytest.raises(ChildFailed, match="refused: over budget"):
            team.wait([followed, refused])


def test_a_refusal_is_an_answer_and_any_other_end_a_failure(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Team(logs) as team:
        monkeypatch.setattr(team, "start", lambda name, said: team.start_command(name, run(said[0])))
        assert team.answer("done", ["print('said'); print('last')"], refusals=(7,)) == (True, "last")
        assert team.answer("no", [ends_with(7, "afml: too small")], refusals=(7,)) == (False, "too small")
        # An earlier refusal is nobody's cause.
        with pytest.raises(ChildFailed, match="bad: no such file"):
            team.answer("bad", [ends_with(2, "afml: no such file")], refusals=(7,))


def test_whoever_still_runs_is_ended_with_the_team(logs: Path) -> None:
    with Team(logs) as team:
        child = team.start_command("one", run(WAITS))
        assert child.process.poll() is None
    assert child.process.poll() is not None


def test_a_child_that_ignores_a_polite_word_is_killed(logs: Path) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {WAITS}"
    with Team(logs) as team:
        child = team.start_command("one", run(stubborn))
        deadline = time.monotonic() + LIMIT_S
        while "deaf" not in (logs / "one.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert child.process.returncode == -9


def test_one_that_others_need_ends_the_wait_for_them_and_can_be_ended_alone(logs: Path) -> None:
    with Team(logs) as team:
        needed, other = team.start_command("needed", run(ends_with(0, "gone"))), team.start_command("other", run(WAITS))
        with pytest.raises(ChildFailed, match="needed: "):
            team.wait([other], beside=needed)
        team.end([other])
        assert other.process.poll() is not None
        served = team.start_command("served", run(WAITS))
        team.wait([team.start_command("one", run("print('said')"))], beside=served)
        assert list(team.running()) == ["served"]


def test_jobs_run_a_few_at_a_time(logs: Path, tmp_path: Path) -> None:
    """Each job leaves a mark while it runs, and counts the marks that it sees."""
    code = (
        "import os, sys, pathlib, time\n"
        "folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / name).touch(); print(len(list(folder.iterdir()))); time.sleep(0.1); (folder / name).unlink()\n"
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    with Team(logs) as team:
        team.start = lambda name, arguments: team.start_command(name, [*run(code), str(marks), name])  # type: ignore[method-assign]
        team.run_each(((f"job-{n}", ()) for n in range(6)), at_once=2)
    seen = [int((logs / f"job-{n}.log").read_text()) for n in range(6)]
    assert max(seen) <= 2


def test_ticks_come_until_after_the_last_child_has_ended(logs: Path) -> None:
    """What a child writes at its very end is seen, too."""
    seen = []
    with Team(logs) as team:
        child = team.start_command("one", run("print('said')"))
        team.wait([child], tick=lambda: seen.append(child.process.poll()))
    assert seen[-1] == 0


def test_children_use_few_threads(logs: Path) -> None:
    with Team(logs, threads=3) as team:
        team.wait([team.start_command("one", run("import os; print(os.environ['OMP_NUM_THREADS'])"))])
    assert (logs / "one.log").read_text() == "3\n"
    assert os.environ.get("OMP_NUM_THREADS") != "3"


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        listening.listen()
        assert listening.getsockname()[1] == port > 0
