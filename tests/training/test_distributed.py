"""Two gloo processes that share a batch add up to the sum of one; a part that is missing or wrong is no sum."""

from __future__ import annotations

import multiprocessing
import os
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import AfmlError
from afml.training import distributed, worker
from afml.training.cohort import Cohort
from afml.training.device import device
from afml.training.distributed import Group, Share
from afml.training.program import Program
from crypto.public.random import source
from tests.training.simulated import cohorts, config, dosages, sites_panel

SITES, PEOPLE, PROCESSES = 16, 21, 2
BATCH = np.array([0, 2, 3, 5, 8, 9, 10, 11, 15, 16, 17, 19, 20])
ENDED_WELL, DIED = 0, 7
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([__name__])


def _program(group: Group | None = None) -> Program:
    return Program(config(SITES, PEOPLE), sites_panel(SITES), dosages(40, SITES, seed=0), group=group)  # type: ignore[arg-type]


def _first(group: Group, folder: Path) -> None:
    """What the node's first process computes, or how it ended."""
    program, cohort = _program(group), cohorts(SITES, PEOPLE)[1]
    program.load_public((folder / "public").read_bytes())
    try:
        sums = [program.clipped_sum(phase, cohort, BATCH, source(5, "round")) for phase in (0, 1)]
        nobody = program.clipped_sum(0, cohort, BATCH[:0], source(5, "round"))
        noised = program.private_update(1, cohort, source(6), 1.0)
        np.savez(folder / "sums.npz", risk=sums[0], game=sums[1], nobody=nobody, noised=noised)
    except AfmlError as error:
        (folder / "error").write_text(f"{type(error).__name__}: {error}")


def _worker(group: Group, kind: str) -> None:
    if kind == "miscounting":
        share = group.heard()
        assert share is not None
        group.give(np.zeros(SITES + 1), len(group.part(share.batch)) + 1)
        assert group.heard() is None
        return
    if kind == "hanging":
        while group.heard() is not None:  # hears, and never gives
            pass
        return
    cohort = cohorts(SITES, PEOPLE)[2 if kind == "other people" else 1]
    if kind == "dying":
        worker.Program.clipped_part = lambda *_: os._exit(DIED)  # type: ignore[assignment]
    worker.work(group, lambda: (_program(), cohort))


def _process(rank: int, folder: str, kind: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    if kind == "hanging":
        distributed._PATIENCE = timedelta(seconds=10)
    with distributed.joined(Path(folder)) as group:
        assert group is not None
        if group.first:
            _first(group, Path(folder))
        else:
            _worker(group, kind)


def _play(folder: Path, kind: str) -> list[int | None]:
    """Exit codes of both processes; the second one is a worker of this kind."""
    program = _program()
    (folder / "public").write_bytes(program.train_public())
    processes: list[BaseProcess] = [
        _START.Process(target=_process, args=(rank, str(folder), kind)) for rank in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert list(folder.glob(".processes-*")) == []
    return [process.exitcode for process in processes]


def test_two_processes_send_the_sum_of_one(tmp_path: Path) -> None:
    assert _play(tmp_path, "good") == [ENDED_WELL, ENDED_WELL]
    sums = np.load(tmp_path / "sums.npz")
    program, cohort = _program(), cohorts(SITES, PEOPLE)[1]
    program.load_public((tmp_path / "public").read_bytes())
    for phase, name in enumerate(("risk", "game")):
        streams = source(5, "round")
        parts = [program.clipped_part(phase, cohort, BATCH[rank::PROCESSES], streams) for rank in range(PROCESSES)]
        assert np.array_equal(sums[name], parts[0] + parts[1]), "the same bits as the parts"
        # One process adds all people in float32, so the two sums differ by its rounding and no more.
        alone = program.clipped_sum(phase, cohort, BATCH, streams)
        np.testing.assert_allclose(sums[name], alone, rtol=1e-5, atol=1e-6)
    assert not sums["nobody"].any()
    expected = program.private_update(1, cohort, source(6), 1.0)  # batch and noise are the first process's
    np.testing.assert_allclose(sums["noised"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        ("dying", DIED, "ProcessLost: process 0 of this node's 2: another of them ended"),
        ("other people", 1, "ProcessLost"),
        ("hanging", 1, "ProcessLost"),
        (
            "miscounting",
            ENDED_WELL,
            "IntegrityError: 2 processes: the processes of this node handled 14 people of a batch of 13",
        ),
    ],
)
def test_a_part_that_is_missing_or_wrong_is_no_sum(tmp_path: Path, kind: str, code: int, error: str) -> None:
    assert _play(tmp_path, kind) == [ENDED_WELL, code]
    assert (tmp_path / "error").read_text().startswith(error)
    assert not (tmp_path / "sums.npz").exists()


def test_what_is_held_tells_people_panels_and_runs_apart() -> None:
    program, cohort = _program(), cohorts(SITES, PEOPLE)[1]
    assert program.held(cohort) == _program().held(cohorts(SITES, PEOPLE)[1])
    others = [
        program.held(Cohort(cohort.dosage, 1 - cohort.phenotype)),
        program.held(Cohort(cohort.dosage[::-1], cohort.phenotype)),
        Program(config(SITES, PEOPLE), sites_panel(SITES), dosages(40, SITES, seed=1)).held(cohort),  # type: ignore[arg-type]
        Program(config(SITES, PEOPLE, seed=8), sites_panel(SITES), dosages(40, SITES, seed=0)).held(cohort),  # type: ignore[arg-type]
    ]
    assert len({program.held(cohort), *others}) == len(others) + 1


@given(
    st.integers(0, 5),
    st.lists(st.integers(0, 2**40), max_size=8),
    st.none() | st.tuples(st.integers(), st.text(), st.integers()),
    st.binary(max_size=40),
)
def test_a_share_survives_its_encoding(
    phase: int, batch: list[int], stream: tuple[int, str, int] | None, state: bytes
) -> None:
    share = Share("ab", phase, np.array(batch, np.int64), stream, state)
    again = Share.decode(share.encode())
    assert again.encode() == share.encode()
    assert (again.phase, again.batch.tolist(), again.stream, again.state) == (phase, batch, stream, state)
    if stream is not None:
        assert np.array_equal(again.people().uniform(3), source(*stream).uniform(3))


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_parts_are_disjoint_and_complete(size: int) -> None:
    parts = [Group(rank, size).part(BATCH) for rank in range(size)]
    assert sorted(np.concatenate(parts)) == BATCH.tolist()


def test_without_torchrun_there_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # of somebody else's job
    assert distributed.rank() == 0
    with distributed.joined(tmp_path) as group:
        assert group is None


def test_processes_on_several_machines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AfmlError, match="on one machine"), distributed.joined(tmp_path):
        pass


def test_each_process_takes_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device() == torch.device("cuda", 0)
    taken = []
    for local in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(local))
        taken.append(device().index)
    assert taken == [0, 1, 0]
