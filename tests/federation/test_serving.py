"""What the daemon decides by files: which data a run is played with, what was taken, what is over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.consortium.card import NodeCard
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError, PolicyError
from afml.core.files import hold_alone
from afml.wire import federation_pb2 as wire
from node.serving.admission import read
from node.serving.child import Child
from node.serving.declared import Declared
from node.serving.held import held
from node.serving.offers import MOST, Offers
from node.serving.shelf import Shelf, over_in
from node.serving.standing import ServeStanding
from node.workspace import Workspace
from tests.aggregator.machine import small_run
from tests.processes import until

RUN = small_run()
KIND = RUN.task.kind


def _work(folder: Path, run: RunConfig, **changes: Any) -> Path:
    folder.mkdir(mode=0o700)
    card = NodeCard(node=1, data=run.data, enrolled=run.enrolled[1]).model_copy(update=changes)
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


def _declared(root: Path, *works: tuple[str, str], ledger: bool = True) -> Declared:
    text = 'aggregator = "a:1"\n' + ('ledger = "ledger"\n' if ledger else "")
    for number, (folder, kind) in enumerate(works):
        text += f'[work.w{number}]\nfolder = "{folder}"\ntasks = ["{kind}"]\n'
    (root / "serve.toml").write_text(text)
    return Declared.load(root / "serve.toml")


def test_a_run_is_played_with_the_data_that_it_was_configured_from(tmp_path: Path) -> None:
    _work(tmp_path / "own", RUN)
    _work(tmp_path / "fewer", RUN, enrolled=RUN.enrolled[1] + 1)
    _work(tmp_path / "other", RUN, data=RUN.data.model_copy(update={"fingerprint": "f" * 64}))
    everything = _declared(tmp_path, ("fewer", KIND), ("other", "any"), ("own", KIND))
    assert everything.holding(RUN, 1).root == tmp_path / "own"
    with pytest.raises(PolicyError, match="which no work folder here serves; add it to the tasks"):
        _declared(tmp_path, ("own", "another")).holding(RUN, 1)
    with pytest.raises(PolicyError, match="which no work folder for its task holds"):
        _declared(tmp_path, ("fewer", KIND), ("other", KIND), ("own", "another")).holding(RUN, 1)
    _work(tmp_path / "copy", RUN)
    with pytest.raises(PolicyError, match=r"could be played from .*own and .*copy"):
        _declared(tmp_path, ("own", KIND), ("copy", "any")).holding(RUN, 1)


def test_a_daemon_has_a_folder_of_its_own(tmp_path: Path) -> None:
    _work(tmp_path / "own", RUN)
    declared = _declared(tmp_path, ("own", KIND))
    declared.require_apart(tmp_path / "served")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(InputError, match="is a work folder of data; give --state a folder of its own"):
        declared.require_apart(tmp_path / "link")


def test_several_work_folders_share_a_ledger_and_none_is_open_to_others(tmp_path: Path) -> None:
    _work(tmp_path / "one", RUN)
    _work(tmp_path / "two", RUN)
    with pytest.raises(ConfigError, match="names several work folders and no ledger"):
        _declared(tmp_path, ("one", KIND), ("two", KIND), ledger=False)
    assert _declared(tmp_path, ("one", KIND), ledger=False).ledger is None
    (tmp_path / "two").chmod(0o750)
    with pytest.raises(InputError, match="open to others"):
        _declared(tmp_path, ("one", KIND), ("two", KIND))


def test_what_was_taken_is_known_and_what_is_over_stays_over(tmp_path: Path) -> None:
    shelf, work = Shelf(tmp_path / "serve"), Workspace(_work(tmp_path / "work", RUN))
    shelf.lay(RUN.digest(), (RUN.model_dump_json().encode(), b"signature"))
    taken = shelf.take(RUN, work, 1.0)
    assert shelf.taken() == [taken]
    assert RunConfig.load(taken.run_file).digest() == taken.digest == RUN.digest()
    with pytest.raises(PolicyError, match="another run of this name was taken before"):
        shelf.take(RUN, work, 2.0)
    shelf.forget(but=[])
    assert not shelf.offered(RUN.digest()).exists()
    assert taken.over == ""
    work.run(RUN.run).mkdir(parents=True)
    (work.run(RUN.run) / "pad.key").touch()
    work.model(RUN.run).mkdir(parents=True)
    assert over_in(work, RUN.run) == "", "the process died before its keys went: it begins where it stood"
    (work.run(RUN.run) / "pad.key").unlink()
    assert taken.over == "finished"
    taken.end(taken.over)
    shutil.rmtree(work.root)
    assert [one.over for one in shelf.taken()] == ["finished"]


def test_of_what_an_aggregator_says_only_so_much_is_read() -> None:
    """A digest names a folder of the daemon: one of another length is none, and 64 are enough."""
    served = [wire.RunOffered(run="r", config_digest=bytes([n]) * 32, turn=wire.TURN_SERVED) for n in range(200)]
    said = [
        wire.RunOffered(run="r", config_digest=b"", turn=wire.TURN_SERVED),
        wire.RunOffered(run="r", config_digest=bytes(31), turn=wire.TURN_SERVED),
        wire.RunOffered(run="r", config_digest=bytes(32), turn=wire.TURN_QUEUED),
        *served,
    ]
    offers = Offers.__new__(Offers)
    stub = SimpleNamespace(ListRuns=lambda asked, timeout: wire.RunsOffered(runs=said))
    offers._address, offers._node, offers._line = "a:1", 1, SimpleNamespace(stub=stub)  # type: ignore[assignment]
    assert [one.digest for one in offers.served()] == [one.config_digest for one in served[:MOST]]


def test_a_run_on_offer_of_which_no_digest_can_be_taken_is_refused_and_ends_no_daemon(tmp_path: Path) -> None:
    """JSON may hold half of a pair of code units; UTF-8, which is signed, may not."""
    path = Shelf(tmp_path).lay(RUN.digest(), (json.dumps(RUN.model_dump(mode="json")).encode(), bytes(64)))
    path.write_bytes(path.read_bytes().replace(b'"consortium": "', b'"consortium": "\\ud800'))
    kit = SimpleNamespace(history=SimpleNamespace(present=SimpleNamespace(coordinator_key="00" * 32)))
    with pytest.raises(InputError, match="holds half of a character"):
        read(path, RUN.digest(), kit)  # type: ignore[arg-type]


def test_a_daemons_child_imports_nothing_of_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "afml").mkdir()  # a clone, say; Python would take it for the package
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Child, "launch", subprocess.Popen)
    with (tmp_path / "lock").open("w") as held:
        child = Child(["--version"], tmp_path / "log", held.fileno())
        until(lambda: child.code() is not None)
    assert (child.code(), (tmp_path / "log").read_text()[:4]) == (0, "afml")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the folder's lock as what plays a run does: given to it by who took it."""
    handle = hold_alone(tmp_path, "a test")
    process = subprocess.Popen(["sleep", "600"], pass_fds=(handle,))
    os.close(handle)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _standing(folder: Path, process: int, ended: str = "") -> None:
    ServeStanding(
        consortium="c", version="0", process=process, started=1.0, written=1.0, ended=ended, certificate_expires=1.0,
        node=1, address="sum:1", at_once=1, ledger="", works=(),
    ).keep(folder)  # fmt: skip


def _kills(holder: subprocess.Popen[bytes], said: list[str]) -> Callable[[str], None]:
    """What is told that somebody waits for `holder`, and ends it then."""

    def say(line: str) -> None:
        said.append(line)
        holder.kill()
        holder.wait()

    return say


def test_a_daemon_waits_for_processes_of_one_that_was_killed(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    _standing(tmp_path, process=2**22 + 1)  # above any process's number: it is gone, and has not said why
    said = list[str]()
    os.close(held(tmp_path, _kills(holder, said)))
    assert said == [
        f"waits for what a daemon that was killed has left in {tmp_path} (process {holder.pid}), then goes on; "
        f"what does not end by itself does so by `kill -9 {holder.pid}`"
    ]


def test_a_daemon_waits_for_who_cannot_be_seen(
    tmp_path: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.serving.held.holders", lambda _: [])
    monkeypatch.setattr("node.serving.held._LOOK_S", 0)
    said = list[str]()
    os.close(held(tmp_path, _kills(holder, said)))
    assert said == [f"waits until nobody works in {tmp_path}, then goes on: somebody does who cannot be seen from here"]


def test_a_daemon_is_refused_at_once_where_another_lives(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    _standing(tmp_path, process=holder.pid)
    with pytest.raises(InputError, match=rf"works in this folder \(process {holder.pid}\); .*`kill {holder.pid}`"):
        held(tmp_path, pytest.fail)
