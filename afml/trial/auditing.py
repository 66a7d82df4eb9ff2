"""An audit of work folders: their people become its subject, its result an entry of an institution's ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from afml.audit.interval import Bound
from afml.audit.power import power
from afml.audit.rounds import observer_of
from afml.audit.run import AuditResult, attacked_phases
from afml.audit.subject import Subject, open_subject
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.evaluation.details import AuditDetails, Chance
from node.guard import open_ledger
from node.workspace import Workspace


def subject_of(config: RunConfig, spaces: Sequence[Workspace]) -> Subject:
    """The run over work folders, whose people it pools in this process; institutions without one send noise.

    Raises:
        InputError: A folder is not prepared, or was prepared for another run.
    """
    require_prepared(config, spaces)
    return open_subject(config, {NodeCard.load(space.card).node: space.prepared() for space in spaces})


def require_prepared(config: RunConfig, spaces: Sequence[Workspace]) -> None:
    """Refuse work folders that are not those of a run.

    Raises:
        InputError: A folder is not prepared, or was prepared for another run.
    """
    for space in spaces:
        card = NodeCard.load(space.card)
        if card.node not in config.enrolled or config.data != card.data:
            raise InputError("was prepared for another run", where=space.root, cure="give this run's work folders")


def details_of(config: RunConfig, audited: AuditResult) -> AuditDetails:
    """What must be read beside the bound: whom it is about, how it was found, and what would have been found."""
    return AuditDetails(
        instrument=audited.instrument, observer=observer_of(config),
        phase=", ".join(phase.name for phase in attacked_phases(config)), rounds=audited.rounds, repeats=1,
        canaries=audited.canaries, guesses=audited.guesses, correct=audited.correct, confidence=audited.confidence,
        ple_attacked=audited.mu_attacked, ple_ceiling=audited.mu_ceiling,
        power=tuple(Chance(noise=one.noise, found=one.found) for one in power(config, audited)),
    )  # fmt: skip


def record(kit: Path, space: Workspace, run: str, found: Bound) -> int:
    """Write an audit into the ledger of a work folder, signed with the node's kit; returns the entry's index."""
    with contextlib.closing(open_ledger(space, load_node_kit(kit))) as ledger:
        return ledger.record_audit(run, found.mu_lower, confidence=found.confidence, instrument=found.instrument)
