"""Another package's task can compute, and nothing else: what it tries is refused, what it gives is bounded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError, ProtocolError
from afml.data.people import PeopleTable, PersonColumns
from afml.data.prepared import Prepared
from afml.data.schema import Schema
from afml.data.source import SourceWriter, open_source
from afml.training import shelf
from afml.training.foreign import sandbox
from afml.training.foreign.process import TaskProcess
from afml.training.foreign.proxy import ForeignEnrolled, ForeignKind, ForeignTask
from afml.training.ghost import GhostTask
from afml.training.inprocess import train_in_process
from afml.training.model import ArrayModel
from afml.training.registry import InstalledTask
from afml.training.step import Trainer
from crypto.public.random import source
from tests import warm

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="this system cannot confine a task (no Landlock)")

PEOPLE, FEATURES = 12, 3
HOSTILE = Path(__file__).with_name("hostile.py")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledTask]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "afml_hostile").mkdir()
    (folder / "afml_hostile" / "__init__.py").touch()
    shutil.copy(HOSTILE, folder / "afml_hostile" / "task.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield InstalledTask("hostile", "1.0", "0" * 64, own=False, target="afml_hostile.task:KIND")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("work")
    columns = [{"name": f"x{i}", "low": 0.0, "high": 1.0} for i in range(FEATURES)]
    columns.append({"name": "y", "kind": "binary"})
    schema = Schema.model_validate({"person": "person", "targets": ["y"], "columns": columns})
    for part in ("public", "private"):
        (root / "data" / part).mkdir(parents=True)
    rng = np.random.default_rng(1)
    names = [f"patient-{person}" for person in range(PEOPLE) for _ in range(1 + person % 2)]
    with SourceWriter(root / "data", schema) as writer:
        features = rng.random((len(names), FEATURES)).astype(np.float32)
        writer.append(names, features, rng.integers(0, 2, (len(names), 1)).astype(np.float32))
    people = [f"patient-{person}" for person in range(PEOPLE)]
    table = PeopleTable(tuple(people), PersonColumns((), np.zeros((PEOPLE, 0))), np.ones(PEOPLE, np.bool_))
    table.save(root / "people.tsv")
    data = DataAgreement(kind="table", fingerprint=schema.digest().hex(), features=FEATURES)
    return Prepared(root / "data", root / "people.tsv", data)


@pytest.fixture(scope="module")
def run_of(package: InstalledTask, prepared: Prepared) -> Callable[..., RunConfig]:
    def make(**settings: Any) -> RunConfig:
        task = package.choice.model_copy(update={"settings": {"attempt": "", "path": ""} | settings})
        phase = {"name": "train", "rounds": 2, "sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 3.0,
                 "learning_rate": 0.1}  # fmt: skip
        return RunConfig.model_validate({
            "run": "r", "consortium": "c", "task": task, "data": prepared.data, "enrolled": {1: PEOPLE},
            "quorum": 1, "noise": "local", "budget": {"delta": 1e-5, "ple_sigma": 9.0}, "phases": [phase], "seed": 3,
        })  # fmt: skip

    return make


class Processes:
    """The two processes of a task, opened anew for every run that asks for something."""

    def __init__(self, package: InstalledTask, prepared: Prepared) -> None:
        self._package, self._prepared = package, prepared
        self._blind, self._seeing = self._start()

    def _start(self) -> tuple[TaskProcess, TaskProcess]:
        site = self._prepared
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TaskProcess, "launch", subprocess.Popen)  # interpreters of their own, as at an institution
            return (
                TaskProcess(self._package, [site.public]),
                TaskProcess(self._package, [site.public, site.private, site.table]),
            )

    def sum(self, run: RunConfig) -> np.ndarray:
        if not self._seeing.alive:
            self._blind, self._seeing = self._start()
        task: Any = ForeignTask(self._blind, run, self._prepared.public, bf16=False)
        enrolled: Any = ForeignEnrolled(self._seeing, run, self._prepared)
        return Trainer(run, task, enrolled).clipped_sum(0, np.arange(PEOPLE), source(1))


@pytest.fixture(scope="module")
def processes(package: InstalledTask, prepared: Prepared) -> Processes:
    return Processes(package, prepared)


def test_it_trains_as_the_same_code_does_in_this_process(
    package: InstalledTask, prepared: Prepared, run_of: Callable[..., RunConfig]
) -> None:
    run, models = run_of(), []
    for kind in (ForeignKind(package, prepared), package.imported()):
        assert tuple(kind.data) == ("table", "array", "images")
        kind.check(run)
        assert kind.lengths(run) == (FEATURES + 1,)
        task: Any = kind.task(run, prepared.public)
        enrolled: Any = kind.enrolled(run, prepared)
        assert len(enrolled) == PEOPLE
        train_in_process(run, task, {1: enrolled})
        blob, digest = task.state(), task.digest()
        task.load_state(blob)
        assert task.digest() == digest
        models.append(task.model())
    for name in ("weight", "bias"):
        assert np.array_equal(models[0].arrays[name], models[1].arrays[name])


def test_it_predicts_for_people_kept_out_as_the_same_code_does_in_this_process(
    package: InstalledTask, prepared: Prepared, run_of: Callable[..., RunConfig]
) -> None:
    kept_out, table = np.arange(PEOPLE - 4, PEOPLE), prepared.people
    apart = replace(prepared, table=prepared.table.with_name("apart.tsv"))
    replace(table, enrolled=np.arange(PEOPLE) < PEOPLE - 4).save(apart.table)
    arrays = {"weight": np.array([[1.0, -2.0, 0.5]], np.float32), "bias": np.array([0.25], np.float32)}
    run, said = run_of(), []
    for kind in (ForeignKind(package, apart), package.imported()):
        task: Any = kind.task(run, apart.public)
        people: Any = kind.held_out(run, apart)
        assert (len(people), len(kind.enrolled(run, apart))) == (4, PEOPLE - 4)
        before = task.predict(people, np.arange(4))
        task.load_model(arrays)
        said.append(task.predict(people, np.arange(4)))
        assert not np.array_equal(before, said[-1])
        with pytest.raises(ConfigError, match="first in bias: none in the model, 1 in the task"):
            task.load_model({"weight": arrays["weight"]})
    np.testing.assert_array_equal(said[0], said[1])
    source = open_source(prepared.folder)
    features = source.features[source.rows_of(kept_out)].astype(np.float64)
    np.testing.assert_allclose(said[0][:, 0], features @ [1.0, -2.0, 0.5] + 0.25, rtol=1e-5)


def test_the_process_that_gives_the_model_has_seen_nobody(
    package: InstalledTask, prepared: Prepared, run_of: Callable[..., RunConfig]
) -> None:
    run = run_of()
    kind = ForeignKind(package, prepared)
    task = kind.task(run, prepared.public)
    train_in_process(run, task, {1: kind.enrolled(run, prepared)})  # type: ignore[arg-type]
    assert task.model().arrays["seen"].size == 0  # it kept what its code saw, in the other process


@pytest.mark.parametrize(
    "attempt",
    [
        "socket", "unix", "url", "read", "write", "remove", "signal", "queued signal", "signal to a thread",
        "shared memory", "message queue", "named queue", "watch", "memory", "environment", "child",
    ],
)  # fmt: skip
def test_what_it_tries_the_kernel_refuses(
    attempt: str, processes: Processes, run_of: Callable[..., RunConfig], tmp_path: Path
) -> None:
    secret = tmp_path / "signing.key"
    secret.write_bytes(b"secret")
    with pytest.raises(ProtocolError) as refused:
        processes.sum(run_of(attempt=attempt, path=str(secret)))
    assert any(name in str(refused.value) for name in ("PermissionError", "URLError", "CalledProcessError"))
    assert secret.read_bytes() == b"secret"
    assert len(str(refused.value).splitlines()) == 1


def test_reading_the_ledger_beside_the_data_is_refused(
    processes: Processes, prepared: Prepared, run_of: Callable[..., RunConfig]
) -> None:
    ledger = prepared.folder.parent / "ledger.db"
    ledger.write_bytes(b"ledger")
    with pytest.raises(ProtocolError, match="PermissionError"):
        processes.sum(run_of(attempt="read", path=str(ledger)))


@pytest.mark.parametrize("attempt", ["huge", "nan"])
def test_whatever_it_gives_a_person_moves_the_sum_by_the_clip_norm_at_most(
    attempt: str, processes: Processes, run_of: Callable[..., RunConfig]
) -> None:
    total = processes.sum(run_of(attempt=attempt))
    assert np.isfinite(total).all()
    assert np.linalg.norm(total) <= PEOPLE


def test_rows_of_people_who_were_not_asked_for_are_refused(
    processes: Processes, run_of: Callable[..., RunConfig]
) -> None:
    with pytest.raises(IntegrityError, match="do not belong to the 12 people"):
        processes.sum(run_of(attempt="strangers"))


def test_a_model_that_could_not_be_saved_is_refused_before_training(
    processes: Processes, run_of: Callable[..., RunConfig]
) -> None:
    with pytest.raises(ProtocolError, match="as no array can be named"):
        processes.sum(run_of(attempt="name"))


def test_a_process_that_dies_is_one_line(processes: Processes, run_of: Callable[..., RunConfig]) -> None:
    with pytest.raises(ProtocolError, match="its process ended with code 3"):
        processes.sum(run_of(attempt="die"))


def test_its_words_about_people_go_no_further(processes: Processes, run_of: Callable[..., RunConfig]) -> None:
    with pytest.raises(ProtocolError, match=r"ValueError at task.py:\d+") as told:
        processes.sum(run_of(attempt="tell"))
    assert "patient" not in str(told.value)


def test_its_environment_holds_nothing_of_this_one(package: InstalledTask, monkeypatch: pytest.MonkeyPatch) -> None:
    from afml.training.foreign.process import _environment

    monkeypatch.setenv("AFML_SECRET", "x")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    made = _environment(Path("/scratch"))
    assert "AFML_SECRET" not in made
    assert set(made) <= {*os.environ, "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "HOME", "TMPDIR"}
    assert (made["HOME"], made["OPENBLAS_NUM_THREADS"]) == ("/scratch", "1")


def test_no_thread_escapes_because_it_was_there_before(tmp_path: Path) -> None:
    code = (
        "import sys, threading; from pathlib import Path; from afml.training.foreign.sandbox import confine\n"
        "end = threading.Event(); other = threading.Thread(target=end.wait); other.start()\n"
        "try: confine([], Path(sys.argv[1]))\n"
        "except OSError as error: print(error)\n"
        "end.set(); other.join(); confine([], Path(sys.argv[1])); print('alone')"
    )
    done = warm.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.stdout.splitlines() == ["[Errno 16] cannot confine the task: its process has 2 threads", "alone"]


def test_it_is_not_believed_a_sum_that_it_clipped_by_itself(
    package: InstalledTask, prepared: Prepared, run_of: Callable[..., RunConfig]
) -> None:
    run = run_of(ghost=True)
    kind = package.load(prepared)
    kind.check(run)  # a coordinator can configure it
    with pytest.raises(ConfigError) as refused:
        kind.task(run, prepared.public)
    assert str(refused.value) == (
        "task hostile: clips its people by itself (ghost), which is not believed of a task in a process of its own; "
        "list its code under run.trusted_code of policy.toml, or have ghost = false configured"
    )
    assert isinstance(package.load(prepared, trusted=["1" * 64]), ForeignKind)
    trusted = package.load(prepared, trusted=["1" * 64, package.code])
    task = trusted.task(run, prepared.public)
    assert isinstance(task, GhostTask)
    assert task.ghost


def test_a_model_that_trusted_code_clipped_by_itself_predicts_in_the_sandbox(
    package: InstalledTask, prepared: Prepared, run_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(ghost=True)
    model: Any = package.load(prepared, trusted=[package.code]).task(run, prepared.public).model()
    monkeypatch.setattr(shelf, "find", lambda *_, **__: package)
    there = replace(prepared, data=run.data)
    arrays = {name: array for name, array in model.arrays.items() if name != "seen"}
    opened = shelf.open_model(ArrayModel(arrays, model.card), there)
    assert isinstance(opened.kind, ForeignKind)
    assert len(shelf.predict_all(opened.task, opened.kind.enrolled(opened.run, there))) >= PEOPLE


def test_no_word_of_the_seeing_process_makes_it_a_task_that_clips(package: InstalledTask) -> None:
    assert not isinstance(object.__new__(ForeignTask), GhostTask)
