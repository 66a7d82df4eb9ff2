"""Where things stand in an aggregator's or a node's folder: read from what its processes write down, and its ledger."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from afml.consortium.card import NodeCard
from afml.consortium.kit import CERTIFICATE, load_certificate
from afml.core.errors import InputError
from afml.core.standing import FILE, Standing
from afml.ledger.schema import FILE as DATABASE
from afml.ledger.summary import PlanLine, Summary, summarise
from afml.operate.shown import (
    AggregatorStatus,
    BudgetStatus,
    ManyStatus,
    NodeStatus,
    PartStatus,
    Plan,
    ServeStatus,
    Space,
    State,
    Status,
)
from afml.operate.words import DAY_S
from aggregator.run import Folder, folders_of_runs
from aggregator.standing import RunStanding
from node.journal import progress
from node.serving.standing import ServeStanding
from node.standing import PartStanding
from node.workspace import Workspace


def status_of(folder: Path, *, kit: Path | None = None, ledger: Path | None = None) -> Status:
    """What is to be said of a folder now.

    Args:
        folder: An aggregator's data folder, a node's work folder, or that of its daemon.
        kit: Of the node: its certificate's days.
        ledger: Of the institution, where it is not in the work folder.

    Raises:
        InputError: It is neither, or was written by another version of AFML.
        IntegrityError: The ledger cannot be read.
    """
    if (folder / FILE).is_file():
        return _aggregator(folder, time.time())
    if (folder / ServeStanding.file).is_file():
        return _serve(folder, time.time())
    began = [one for one in folders_of_runs(folder) if (one / FILE).is_file()]
    if began and not Workspace(folder).card.is_file():
        now = time.time()
        return ManyStatus(runs=tuple(_aggregator(one, now) for one in began), space=space(folder))
    if Folder(folder).store.is_file():
        cure = "start it with `afml aggregator`; a run of an earlier version of AFML says nothing here"
        raise InputError("holds a run whose aggregator has not said where it stands", where=folder, cure=cure)
    if Workspace(folder).card.is_file():
        return _node(Workspace(folder), kit, ledger or Workspace(folder).ledger, time.time())
    cure = "name the folder of `afml aggregator --data`, of `afml node --work` or of `afml node serve --state`"
    problem = "is neither an aggregator's nor a node's folder" if folder.is_dir() else "does not exist"
    raise InputError(problem, where=folder, cure=cure)


def certificate_days(kit: Path, now: float) -> float:
    """Days until the certificate in a kit expires; negative once it has.

    Raises:
        InputError: There is none.
    """
    expires = load_certificate(kit / CERTIFICATE, "TLS certificate").not_valid_after_utc.timestamp()
    return round((expires - now) / DAY_S, 2)


def space(folder: Path) -> Space:
    """Of a folder; files that go while it is looked at do not count."""
    used = 0
    for path in folder.rglob("*"):
        try:
            used += path.lstat().st_size
        except OSError:
            continue
    return Space(used=used, free=shutil.disk_usage(folder).free)


def _aggregator(folder: Path, now: float) -> AggregatorStatus:
    standing = RunStanding.found(folder)
    alive = standing.alive(now)
    return AggregatorStatus(
        standing=standing,
        state=_state(standing, now),
        awaited=tuple(node.node for node in standing.awaited),
        waiting_s=round(now - standing.since, 1) if alive else None,
        left_s=standing.seconds_left if alive else None,
        certificate_days=round((standing.certificate_expires - now) / DAY_S, 2),
        space=space(folder),
    )


def _state(standing: Standing, now: float) -> Literal["running", "silent", "stopped"]:
    return "running" if standing.alive(now) else "stopped" if standing.ended else "silent"


def _serve(folder: Path, now: float) -> ServeStatus:
    standing = ServeStanding.found(folder)
    state = _state(standing, now)

    def node(work: str) -> NodeStatus:
        one = Workspace(Path(work))
        ledger = Path(standing.ledger) if standing.ledger else one.ledger
        begun = {run.run for run in standing.runs if run.state == "running" and run.work == work}
        return _node(one, None, ledger, now, _Begun(begun, standing.started) if state == "running" else _Begun())

    return ServeStatus(
        standing=standing,
        state=state,
        works=tuple(map(node, standing.works)),
        certificate_days=round((standing.certificate_expires - now) / DAY_S, 2),
        space=space(folder),
    )


@dataclass(frozen=True)
class _Begun:
    """Runs for which a daemon says that it has started a process, and when it began itself, Unix seconds."""

    runs: Collection[str] = ()
    since: float = 0.0


def _node(work: Workspace, kit: Path | None, ledger: Path, now: float, begun: _Begun = _Begun()) -> NodeStatus:
    summary = summary_of(ledger)
    plans = {plan.run: plan for plan in summary.plans} if summary else {}
    there = {path.name for path in [*work.run("x").parent.glob("*"), *work.models.glob("*")] if path.is_dir()}
    runs = sorted(there | set(plans) | set(begun.runs))
    return NodeStatus(
        node=NodeCard.load(work.card).node,
        parts=tuple(_part(work, run, plans.get(run), now, begun) for run in runs),
        budget=_budget(summary) if summary else None,
        insecure=summary is not None and summary.insecure,
        entries=summary.entries if summary else 0,
        certificate_days=certificate_days(kit, now) if kit else None,
        space=space(work.root),
    )


def summary_of(ledger: Path) -> Summary | None:
    """Of a ledger as it stands, composed anew where something was entered; None where none was begun.

    Raises:
        IntegrityError: It cannot be read.
    """
    stamp = stamp_of(ledger)
    return _summary(ledger, stamp) if stamp else None


def stamp_of(ledger: Path) -> tuple[tuple[int, int], ...]:
    """What changes with every entry of a ledger; nothing where none was begun. Its database is not opened."""
    found = [path.stat() for name in (DATABASE, f"{DATABASE}-wal") if (path := ledger / name).is_file()]
    return tuple((one.st_mtime_ns, one.st_size) for one in found) if any(one.st_size for one in found) else ()


@functools.lru_cache(maxsize=1)
def _summary(ledger: Path, stamp: tuple[tuple[int, int], ...]) -> Summary:
    """Of a ledger as it stood at `stamp`: composing what people have spent takes seconds."""
    return summarise(ledger)


def _part(work: Workspace, run: str, plan: PlanLine | None, now: float, begun: _Begun = _Begun()) -> PartStatus:
    applied, ended = progress(work.run(run))
    standing = PartStanding.found(work.run(run)) if (work.run(run) / FILE).is_file() else None
    alive = standing is not None and standing.alive(now)
    state: State = "planned"
    if alive:
        state = "running"
    elif work.model(run).is_dir():
        state = "finished"
    elif ended:
        state = "ended"
    elif run in begun.runs and (standing is None or standing.ended or standing.written < begun.since):
        state = "starting"
    elif standing is not None:
        state = "stopped" if standing.ended else "silent"
    elif work.run(run).is_dir():
        state = "stopped"
    return PartStatus(
        run=run,
        state=state,
        applied=applied,
        left_s=round(max(0.0, standing.expected - now), 1) if alive and standing and standing.expected else None,
        why="" if state in ("running", "starting", "finished") else ended or (standing.ended if standing else ""),
        standing=standing,
        plan=None if plan is None else Plan(state=plan.state, until=plan.expires, approved=plan.approved),
    )


def _budget(summary: Summary) -> BudgetStatus | None:
    """Of the enrolment whose people have least left."""
    balances = [one.balance for one in summary.enrolments if one.balance is not None]
    if not balances:
        return None
    worst = min(balances, key=lambda one: one.left)
    spent, limit, left = (round(value, 4) for value in (worst.spent, worst.limit, worst.left))
    return BudgetStatus(spent=spent, limit=limit, left=left, delta=worst.budget.delta)
