"""`afml task check`: a task tried on made-up people, from its code to one encrypted round and its ledgers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from afml.api.local import LocalConsortium
from afml.api.proofs import (
    Finding,
    begins_alike,
    equals_autograd,
    is_clipped,
    moves_alike,
    nobody_touches_anybody,
    refused,
)
from afml.api.synthetic import KINDS, made_up, plain_schema
from afml.api.tasks import found
from afml.consortium.card import NodeCard
from afml.consortium.run import RunConfig
from afml.core.bounded import at_most
from afml.core.errors import AfmlError, ConfigError
from afml.core.plain import plain_line
from afml.data.schema import Schema
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from afml.tasks.module import ModuleKind, ModuleTask
from afml.training.inprocess import train_in_process
from afml.training.registry import InstalledTask
from afml.training.task import Task, TaskKind
from node.workspace import Workspace

INSTITUTIONS, PEOPLE = 3, 12


@dataclass(frozen=True)
class Trial:
    """On what a task is tried.

    Attributes:
        settings: Of the task, or a file of them.
        schema: Of the made-up people; None: a plain one (`afml.api.synthetic.plain_schema`).
        options: Of the run whose price is told, as `afml.LocalConsortium` takes them.
        ple: Target PLE of that run, in sigma.
    """

    settings: Mapping[str, Any] | Path | None = None
    schema: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ple: float = 0.9


def check(task: str | Path, trial: Trial) -> Iterator[Finding]:
    """Look at a task, one thing after the other, until something makes it pointless to go on.

    Its code is imported into this process: look at packages of others where there are no private data.

    Args:
        task: Name of an installed task, or folder of its package.
        trial: On what.
    """
    try:
        code = found(task)
        kind = code.imported()
        yield Finding("code", True, f"{code.kind} {code.version}, code {code.code[:12]}, from {code.target}")
    except AfmlError as error:
        yield refused("code", error)
        return
    with tempfile.TemporaryDirectory(prefix="afml-check-") as scratch:
        yield from _on_people(code, kind, trial, Path(scratch), task)


def _on_people(code: InstalledTask, kind: TaskKind, trial: Trial, scratch: Path, task: str | Path) -> Iterator[Finding]:
    try:
        schema = _schema(code, kind, trial.schema)
        (scratch / "data").mkdir()
        cohorts = made_up(schema, scratch / "data", institutions=INSTITUTIONS, people=PEOPLE)
        consortium = LocalConsortium(
            cohorts, task, ple=trial.ple, settings=trial.settings, folder=scratch / "consortium",
            **dict(trial.options),
        )  # fmt: skip
        rows = "1 to 3 rows" if schema.form == "table" else "one row"
        yield Finding("data", True, f"{schema.form}: {INSTITUTIONS} x {PEOPLE} made-up people, {rows} each")
        _plan_here(kind, consortium)
        run = consortium.configure(name="plan")
    except AfmlError as error:
        yield refused("plan", error)
        return
    except Exception as error:  # noqa: BLE001 - whatever somebody's task raises
        yield _raised("plan", error)
        return
    yield Finding("plan", True, priced(run))
    try:
        yield from _proofs(kind, run, Workspace(consortium.work(1)))
        yield _round(consortium, kind)
    except AfmlError as error:
        yield refused("round", error)
    except Exception as error:  # noqa: BLE001 - whatever somebody's task raises
        yield _raised("code", error)


def _raised(what: str, error: Exception) -> Finding:
    problem = plain_line(f"the task raises {type(error).__name__}: {error}")
    return Finding(what, False, problem, "mend the task; where it needs data of another shape, give --schema")


def _plan_here(kind: TaskKind, consortium: LocalConsortium) -> None:
    """Plan in this process: a task's own errors are told in full, which a confined process must not."""
    data = NodeCard.load(Workspace(consortium.work(1)).card).data
    kind.plan(kind.settings(consortium.settings).model_dump(mode="json"), data, consortium.rounds, consortium.terms)


def _schema(code: InstalledTask, kind: TaskKind, path: Path | None) -> Schema:
    if path is not None:
        schema = Schema.load(path)
        if schema.form not in kind.data:
            problem = f"describes data of the kind {schema.form}, the task trains on {' or '.join(kind.data)}"
            raise ConfigError(problem, where=path, cure="give another --schema")
        return schema
    possible = [name for name in kind.data if name in KINDS]
    if not possible:
        raise ConfigError(
            f"trains on {' or '.join(kind.data)}, of which nobody is made up here",
            where=f"task {code.kind}",
            cure="try it with `afml demo`, or on a public VCF in afml.LocalConsortium",
        )
    return plain_schema(possible[0])


def priced(run: RunConfig) -> str:
    """The plan of a run, and what it costs each of its people, in words."""
    phases = ", ".join(
        f"{phase.name} {phase.rounds} rounds of {phase.sample_rate:.0%} of the people, {phase.parameters} parameters, "
        f"noise {phase.noise_multiplier:g} of clip norm {phase.clip_norm:g}"
        for phase in run.phases
    )
    cost = ple(planned_events(run), run.budget.delta)
    return (
        f"{phases}; a person pays PLE {at_most(cost.sigma)} sigma (epsilon {at_most(cost.epsilon)} at delta "
        f"{run.budget.delta:g}), {run.reserve_attempts} lost attempts a phase included"
    )


def _proofs(kind: TaskKind, run: RunConfig, work: Workspace) -> Iterator[Finding]:
    prepared = work.prepared()
    fresh: partial[Task] = partial(_with_public_part, kind, run, prepared.public)
    enrolled = kind.enrolled(run, prepared)
    yield begins_alike(fresh)
    task = fresh()
    if isinstance(kind, ModuleKind) and isinstance(task, ModuleTask):
        yield equals_autograd(kind, fresh(), run, kind.enrolled(run, prepared))
    for phase in range(len(run.phases)):
        yield nobody_touches_anybody(task, run, phase, enrolled)
        yield is_clipped(task, run, phase, enrolled)
        yield moves_alike(fresh, phase, len(enrolled))


def _with_public_part(kind: TaskKind, run: RunConfig, public: Path) -> Task:
    task = kind.task(run, public)
    if not task.has_public_part:
        task.load_public(task.train_public())
    return task


def _round(consortium: LocalConsortium, kind: TaskKind) -> Finding:
    """One round over the made-up institutions, encrypted, beside the same in plain sums."""
    trained = consortium.train(name="round", rounds=1, sample_rate=1.0, seed=1)
    prepared = {node: Workspace(work).prepared() for node, work in trained.works.items()}
    plain = kind.task(trained.run, prepared[1].public)
    start = plain.digest()
    train_in_process(trained.run, plain, {node: kind.enrolled(trained.run, one) for node, one in prepared.items()})
    if trained.model.digest() != plain.model().digest():
        problem = "the model of an encrypted round is not that of plain sums"
        return Finding("round", False, problem, "let nothing but `stream` draw at random in `gradients`")
    trained.verify()
    moved = "moved the model" if plain.digest() != start else "did not move the model"
    return Finding("round", True, f"one encrypted round {moved} to the bits of plain sums; its ledgers verify")
