"""Whether a run on offer is played here: what this site wrote down decides, not who signed it or who offers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.card import NodeCard
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import IntegrityError, PolicyError
from node.guard import Guard, open_ledger
from node.inuse import in_use
from node.policy import Site
from node.serving.declared import Declared
from node.serving.shelf import over_in
from node.take_part import require_enrolments
from node.workspace import Workspace


@dataclass(frozen=True)
class Admitted:
    """A run that the site's policy allows, and the folder that it is played in.

    Attributes:
        run: The run, signed by the coordinator.
        work: Holds the data that it was configured from.
        kit: This node's, under the run's version of the roster.
        site: Says on which terms.
    """

    run: RunConfig
    work: Workspace
    kit: NodeKit
    site: Site


def read(path: Path, digest: bytes, kit: NodeKit) -> RunConfig:
    """A run on offer, once the coordinator's signature is checked.

    Raises:
        IntegrityError: It is not signed, or not the one that was named.
        AfmlError: As `load_run`.
    """
    run = load_run(path, kit.history)
    if run.digest() != digest:
        raise IntegrityError("is not the run that was on offer", where=f"run {run.run}")
    return run


def admit(run: RunConfig, kit: NodeKit, declared: Declared, *, simulation: bool) -> Admitted:
    """Hold a run against the policy as it stands, and find its data; nothing is set aside yet.

    Args:
        run: The run.
        kit: This node's, with its folder.
        declared: Which data serve which task.
        simulation: Seeded runs are meant.

    Raises:
        PolicyError: The policy does not allow it, or no declared folder holds its data; names the first reason.
        AfmlError: There is no policy; the run is of a roster that has changed; the folder is being prepared.
    """
    assert kit.folder is not None, "a daemon has its kit in a folder"
    kit.under(run).require_unchanged(run)
    site = Site(kit.under(run), kit.folder, simulation)
    site.terms(run)
    work = declared.holding(run, kit.node)
    if over := over_in(work, run.run):
        raise PolicyError(f"is over here ({over})", where=f"run {run.run}")
    with in_use(work):
        work.require_drawn_for(run)
        require_enrolments(run, NodeCard.load(work.card).max_enrolments, f"run {run.run}")
    return Admitted(run, work, site.kit, site)


def consider(admitted: Admitted, ledger: Path | None, *, beginning: Iterable[str]) -> str:
    """Refuse what the ledger would refuse: a run that nobody approved, or beside all others does not fit.

    The process that plays the run asks again, and sets its plan aside in one transaction: of two runs that would each
    fit alone, one gets the room whatever is said here.

    Args:
        admitted: The run.
        ledger: Folder of the institution's ledger, where it is not in the work folder.
        beginning: Runs that have a process.

    Returns:
        That of them whose plan is not set aside yet: it is waited for, since it may need the same room; "" for none.

    Raises:
        PolicyError, BudgetError, IntegrityError: Likewise.
    """
    with in_use(admitted.work), open_ledger(admitted.work, admitted.kit, ledger) as opened:
        if first := next((run for run in beginning if opened.plans.held(run) is None), ""):
            return first
        Guard(opened, admitted.run, _names(admitted), admitted.site.terms).consider()
    return ""


def _names(admitted: Admitted) -> Sequence[str]:
    """Everybody whom the run enrols here."""
    prepared = admitted.work.prepared(admitted.run.people)
    return prepared.people.rows(prepared.enrolled).samples
