"""Orders about a run lie where the aggregator that serves it looks, or are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.run import run as run_verb
from afml.consortium.provision import load_coordinator_key
from afml.consortium.runfile import write_run
from afml.core.errors import InputError
from afml.core.standing import FILE
from afml.trial.kits import make_kits
from aggregator.run import Folder
from tests.aggregator.machine import small_run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("orders")
    make_kits(root / "kits", "test", 3)
    for name in ("spring", "summer"):
        key = load_coordinator_key(root / "kits" / "coordinator")
        write_run(root / f"{name}.json", small_run(3, run=name), key)
    return root


def order(place: Path, data: Path, name: str = "summer") -> list[Path]:
    kit = place / "kits" / "coordinator"
    given = ["pause", str(place / f"{name}.json"), "--kit", str(kit), "--data", str(data)]
    done = CliRunner().invoke(run_verb, given, catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return list(data.rglob("orders/*.json"))


def test_of_many_runs_it_goes_to_the_one_that_it_is_about(place: Path, tmp_path: Path) -> None:
    for name in ("spring", "summer"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (path,) = order(place, tmp_path)
    assert path.parent == Folder(tmp_path / "runs" / "summer").orders
    shutil.rmtree(tmp_path / "runs" / "summer")
    with pytest.raises(InputError, match="has no run summer"):
        order(place, tmp_path)


def test_the_folder_of_another_run_is_refused(place: Path, tmp_path: Path) -> None:
    assert len(order(place, tmp_path / "fresh")) == 1, "an aggregator that is yet to be started"
    standing = tmp_path / FILE
    standing.write_text(STANDING)
    with pytest.raises(InputError, match="is the folder of run spring, not of summer"):
        order(place, tmp_path)
    assert len(order(place, tmp_path, "spring")) == 2


def test_a_folder_that_nobody_looks_into_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="is not the folder of an aggregator, and not empty; give that one, or an empty"
    ):
        order(place, place / "kits")
    state = tmp_path / "the state"
    (state / "runs" / "summer").mkdir(parents=True)
    with pytest.raises(InputError, match=rf"not empty; give --data '{state}'"):
        order(place, tmp_path)
    assert not (tmp_path / "orders").exists()
    (tmp_path / "empty").mkdir(mode=0o700)
    assert [len(order(place, tmp_path / "empty")) for _ in range(2)] == [1, 2], "to be carried over"
    shutil.rmtree(state)
    Folder(tmp_path).store.touch()
    assert len(order(place, tmp_path)) == 3, "an aggregator's that has not said yet where it stands"


@pytest.mark.parametrize("stage", ["finished", "failed"])
def test_nothing_is_ordered_of_a_run_that_is_over(place: Path, tmp_path: Path, stage: str) -> None:
    own = tmp_path / "runs" / "spring"
    own.mkdir(parents=True, mode=0o700)
    (own / FILE).write_text(STANDING.replace("gathering", stage))
    for data in (tmp_path, own):
        with pytest.raises(InputError, match=rf"run spring is over \({stage}\): .*; see how .*`afml status {own}`"):
            order(place, data, "spring")
    assert not (own / "orders").exists()


def test_who_may_order_and_what_is_given_is_said(place: Path, tmp_path: Path) -> None:
    kit = place / "kits" / "node-1"
    done = CliRunner().invoke(
        run_verb, ["pause", str(place / "summer.json"), "--kit", str(kit), "--data", str(tmp_path)]
    )
    assert "give that of the coordinator or of the aggregator" in str(done.exception)
    with pytest.raises(InputError, match=r"give the signed run\.json"):
        order(place, tmp_path / "fresh", "summer.json/../first")
    assert list(tmp_path.iterdir()) == []


STANDING = """{"consortium": "test", "version": "0", "process": 1, "started": 1.0, "written": 1.0, "ended": "",
"certificate_expires": 1.0, "run": "spring", "address": "127.0.0.1:1", "stage": "gathering", "since": 1.0, "round": 1,
"attempt": 1, "rounds": 3, "phase": "risk", "published": 0, "quorum": 3, "reason": "", "nodes": [],
"round_seconds": null, "update_bytes": 0, "parameters": 9}"""
