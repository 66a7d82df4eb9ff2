"""Two gloo processes that share a batch add up to the sum of one; a part that is missing or wrong is no sum."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ConfigError, InputError
from afml.masking.enrolled import Enrolled
from afml.masking.public import public_digest
from afml.masking.task import MaskingTask
from afml.training import step
from afml.training.processes import group as processes
from afml.training.processes import meeting, worker
from afml.training.processes.group import Group, SumRequest
from afml.training.processes.meeting import Talk
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import config, enrolled, sites_panel, small_task

SITES, PEOPLE, PROCESSES = 16, 21, 2
BATCH = np.array([0, 2, 3, 5, 8, 9, 10, 11, 15, 16, 17, 19, 20])
ENDED_WELL, DIED = 0, 7
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([__name__])


def _trainer(group: Group | None = None, node: int = 1) -> Trainer:
    run = config(SITES, PEOPLE)
    task = small_task(run, panel_people=40)
    public = public_digest(sites_panel(SITES), task.public.dosage)
    people = replace(enrolled(SITES, PEOPLE)[node], public=public)
    return Trainer(run, task, people, group)


def _first(group: Group, folder: Path, kind: str) -> None:
    """What the node's first process computes, or how it ended."""
    trainer = _trainer(group)
    trainer.task.load_public((folder / "public").read_bytes())
    if kind == "fails itself":  # its worker waits with its part in its hands
        step.clipped_part = lambda *_: (_ for _ in ()).throw(MemoryError("no memory"))
    if kind == "stranger first":
        group._talk._key = bytes(32)
    try:
        trainer.load_others()
        (folder / "loaded").touch()
        sums = [trainer.clipped_sum(phase, BATCH, source(5, "round")) for phase in (0, 1)]
        nobody = trainer.clipped_sum(0, BATCH[:0], source(5, "round"))
        noised = trainer.private_update(1, source(6), 1.0)
        np.savez(folder / "sums.npz", risk=sums[0], game=sums[1], nobody=nobody, noised=noised)
    except (AfmlError, MemoryError) as error:
        (folder / "error").write_text(f"{type(error).__name__}: {error}")


def _worker(group: Group, kind: str) -> None:
    if kind == "stranger":  # somebody else who got hold of the connection and knows the program
        group._talk._key = bytes(32)
        group._talk._opened = lambda sealed, _: sealed.numpy().tobytes()[32:]  # type: ignore[method-assign]
    if kind in ("stranger", "hanging", "miscounting", "exaggerating"):
        assert group.asked() is not None
        group.ready()
        request = group.heard()
        assert request is not None
        people = len(group.part(request.batch))
        if kind == "hanging":
            while True:
                time.sleep(1)
        if kind == "miscounting":
            group.give(np.zeros(SITES + 1), people + 1)
        else:
            group.give(np.full(SITES + 1, 1.00001 * people / np.sqrt(SITES + 1)), people)
        group.heard()
        return
    if kind == "dying":
        step.clipped_part = lambda *_: os._exit(DIED)  # type: ignore[assignment]
    worker.work(group, lambda: _trainer(node=2 if kind == "other people" else 1))


def _process(rank: int, folder: str, kind: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test"}
    if kind == "hanging":
        processes._PATIENCE = timedelta(seconds=10)
    with processes.joined(Path(folder)) as group:
        assert group is not None
        if group.first:
            _first(group, Path(folder), kind)
        else:
            _worker(group, kind)


def _play(folder: Path, kind: str) -> list[int | None]:
    """Exit codes of both processes; the second one is a worker of this kind."""
    (folder / "public").write_bytes(_trainer().task.train_public())
    both: list[BaseProcess] = [
        _START.Process(target=_process, args=(rank, str(folder), kind)) for rank in range(PROCESSES)
    ]
    for process in both:
        process.start()
    both[0].join(120)
    if kind == "hanging":
        both[1].kill()  # as torchrun does
    both[1].join(120)
    assert os.listdir(folder / ".processes") == ["lock"]
    return [process.exitcode for process in both]


def test_two_processes_send_the_sum_of_one(tmp_path: Path) -> None:
    assert _play(tmp_path, "good") == [ENDED_WELL, ENDED_WELL]
    sums = np.load(tmp_path / "sums.npz")
    trainer = _trainer()
    trainer.task.load_public((tmp_path / "public").read_bytes())
    for phase, name in enumerate(("risk", "game")):
        streams = source(5, "round")
        parts = [trainer.part(phase, BATCH[rank::PROCESSES], streams) for rank in range(PROCESSES)]
        assert np.array_equal(sums[name], parts[0] + parts[1]), "the same bits as the parts"
        # Gradients are float32, and other people in a micro-batch may round them otherwise.
        alone = trainer.clipped_sum(phase, BATCH, streams)
        np.testing.assert_allclose(sums[name], alone, rtol=1e-5, atol=1e-6)
    assert not sums["nobody"].any()
    expected = trainer.private_update(1, source(6), 1.0)  # batch and noise are the first process's
    np.testing.assert_allclose(sums["noised"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        ("dying", DIED, "ProcessLost: process 0 of this node's 2: another of them ended"),
        ("fails itself", 1, "MemoryError: no memory"),
        ("hanging", -9, "ProcessLost"),
        ("miscounting", 1, "IntegrityError: process 1 of this node's 2: handled 7 people and was given 6"),
        ("exaggerating", 1, "IntegrityError: process 1 of this node's 2: gave a sum larger than 6 clipped people"),
    ],
)
def test_a_part_that_is_missing_or_wrong_is_no_sum(tmp_path: Path, kind: str, code: int, error: str) -> None:
    assert _play(tmp_path, kind) == [ENDED_WELL, code]
    assert (tmp_path / "error").read_text().startswith(error)
    assert (tmp_path / "loaded").exists()
    assert not (tmp_path / "sums.npz").exists()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("other people", "ProcessLost"),
        ("stranger", "IntegrityError: process 1 of this node's 2: does not know the key of this start"),
        ("stranger first", "ProcessLost"),
    ],
)
def test_strangers_and_other_people_are_found_before_anything_is_told(tmp_path: Path, kind: str, error: str) -> None:
    assert _play(tmp_path, kind) == [ENDED_WELL, 1]
    assert (tmp_path / "error").read_text().startswith(error)
    assert not (tmp_path / "loaded").exists()


def test_processes_of_one_start_meet_whoever_their_parents_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for port, restart in (("1", "0"), ("1", "0"), ("2", "0"), ("1", "1")):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("MASTER_PORT", port)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restart)
        monkeypatch.setattr(os, "getppid", lambda: len(names))
        names.append(meeting.start())
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_only_files_of_starts_that_are_over_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / meeting.FOLDER
    with meeting._room(folder) as room:
        assert room.stat().st_mode & 0o777 == 0o700
        (room / "of a start").touch()
        with meeting._room(folder):  # another start, at the same time
            assert (room / "of a start").exists()
    assert (folder / "of a start").exists()  # its processes were killed
    with meeting._room(folder) as room:
        assert os.listdir(room) == ["lock"]


def test_a_second_start_of_the_same_name_leaves_the_first_alone(tmp_path: Path) -> None:
    with meeting._room(tmp_path / meeting.FOLDER) as room:
        first = torch.distributed.FileStore(str(room / meeting.start()), 2)  # type: ignore[attr-defined]
        first.add("here 0", 1)
        with pytest.raises(ConfigError, match="another start"), meeting.meet(tmp_path, 0, 2, timedelta(seconds=1)):
            pass
        assert (room / meeting.start()).exists()


def test_others_may_not_look_into_the_meeting(tmp_path: Path) -> None:
    (tmp_path / meeting.FOLDER).mkdir(mode=0o755)
    with pytest.raises(InputError, match="not this account's alone"), meeting._room(tmp_path / meeting.FOLDER):
        pass
    (tmp_path / "owner only").mkdir(mode=0o700)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "owner only")
    with pytest.raises(InputError, match="not this account's alone"), meeting._room(tmp_path / "elsewhere"):
        pass


@pytest.mark.parametrize("rank", [0, 1])
def test_nobody_waits_for_ever_for_the_others_to_come(tmp_path: Path, rank: int) -> None:
    patience = timedelta(seconds=1)
    with pytest.raises(processes.ProcessLost), meeting.meet(tmp_path, rank, 2, patience):
        pass


def test_messages_hold_for_one_place_and_one_sender() -> None:
    alice, bob, stranger = Talk(0, 3, b"k" * 32), Talk(1, 3, b"k" * 32), Talk(0, 3, b"x" * 32)
    sealed = alice._sealed(b"message")
    assert bob._opened(sealed, 0) == b"message"
    changed = sealed.clone()
    changed[-1] ^= 1
    for refused, sender in ((changed, 0), (sealed, 2), (stranger._sealed(b"message"), 0), (sealed[:20], 0)):
        with pytest.raises(AfmlError, match="does not know the key"):
            bob._opened(refused, sender)
    bob._turn += 1
    with pytest.raises(AfmlError, match="does not know the key"):
        bob._opened(sealed, 0)  # said again


def test_what_is_held_tells_people_panels_and_runs_apart() -> None:
    def held(people: Enrolled, run: RunConfig, task: MaskingTask) -> str:
        public = public_digest(sites_panel(SITES), task.public.dosage)
        return Trainer(run, task, replace(people, public=public)).held()

    run, people = config(SITES, PEOPLE), enrolled(SITES, PEOPLE)[1]
    task, other_panel = small_task(run, panel_people=40), small_task(run, panel_people=40, seed=1)
    first = held(people, run, task)
    assert first == held(enrolled(SITES, PEOPLE)[1], config(SITES, PEOPLE), small_task(run, panel_people=40))
    assert people.digest() is people.digest(), "made once"
    others = [
        held(Enrolled(people.dosage, 1 - people.phenotype), run, task),
        held(Enrolled(people.dosage[::-1], people.phenotype), run, task),
        held(people, run, other_panel),
        held(people, config(SITES, PEOPLE, seed=8), task),
    ]
    assert len({first, *others}) == len(others) + 1


@given(
    st.integers(0, 5),
    st.lists(st.integers(0, 2**40), max_size=8),
    st.none() | st.tuples(st.integers(), st.text(), st.integers()),
    st.binary(max_size=40),
)
def test_a_request_survives_its_encoding(
    phase: int, batch: list[int], stream: tuple[int, str, int] | None, state: bytes
) -> None:
    request = SumRequest("ab", phase, np.array(batch, np.int64), stream, state)
    again = SumRequest.decode(request.encode())
    assert again.encode() == request.encode()
    assert (again.phase, again.batch.tolist(), again.stream, again.state) == (phase, batch, stream, state)
    if stream is not None:
        assert np.array_equal(again.people().uniform(3), source(*stream).uniform(3))


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_parts_are_disjoint_and_complete(size: int) -> None:
    parts = [Group(Talk(rank, size, b"")).part(BATCH) for rank in range(size)]
    assert sorted(np.concatenate(parts)) == BATCH.tolist()


def test_without_torchrun_there_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # of somebody else's job
    assert processes.rank() == 0
    with processes.joined(tmp_path) as group:
        assert group is None


def test_processes_on_several_machines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AfmlError, match="on one machine"), processes.joined(tmp_path):
        pass
