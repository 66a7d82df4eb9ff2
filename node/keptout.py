"""Whom the work folder says are kept out of training, held against what the ledger says was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.data.people import PeopleTable
from afml.ledger.enrolled import enrolled_in, took_part
from afml.ledger.schema import begun
from afml.tasks.evaluation.heldout import HeldOutKind
from afml.training.model import ArrayModel
from afml.training.shelf import claimed_digest, model_folders
from node.workspace import Holdings, Workspace

_NEW_RUN = "have a new run configured (`afml configure`)"


def require_kept_out(work: Workspace, run: str, ledger: Path) -> int:
    """Refuse to measure a run's model on people whom it was trained on.

    `afml prepare` draws anew with another --holdout, whatever was trained before, and what a model does on people whom
    it knows is not what it does on others. Withdrawals change nothing: who was trained on stays so.

    Args:
        work: The institution's prepared work folder.
        run: Name of the run.
        ledger: Folder of the institution's ledger.

    Returns:
        How many people are neither kept out nor were trained on: they came later.

    Raises:
        InputError: Nobody is kept out, somebody who is was trained on, nobody here was, or the ledger does not know
            the run.
        IntegrityError: The ledger cannot be relied on.
    """
    people = PeopleTable.load(work.people)
    if people.enrolled.all():
        raise InputError(
            "keeps nobody out of training (--holdout 0), so there is nobody to measure on",
            where=work.people,
            cure=f"run `afml prepare` with a --holdout, for example 0.25, and {_NEW_RUN}",
        )
    trained = require_untrained(work, run, ledger)
    if trained == 0:
        raise InputError(
            f"holds nobody whom run {run} was trained on, by the ledger",
            where=work.people,
            cure=f"run `afml prepare` with the people of that run, or {_NEW_RUN}",
        )
    return int(np.count_nonzero(people.enrolled)) - trained


def require_untrained(work: Workspace, run: str, ledger: Path) -> int:
    """Refuse a people file that calls somebody kept out whom a run was trained on.

    Args:
        work: The institution's prepared work folder.
        run: Name of the run.
        ledger: Folder of the institution's ledger.

    Returns:
        How many of the others were trained on.

    Raises:
        InputError: Likewise, or the ledger does not know the run.
        IntegrityError: The ledger cannot be relied on.
    """
    people = PeopleTable.load(work.people)
    trained = enrolled_in(ledger, run, people.samples)
    if known := int(np.count_nonzero(trained & ~people.enrolled)):
        raise InputError(
            f"calls {known} people kept out of training whom run {run} was trained on, by the ledger",
            where=work.people,
            cure=f"run `afml prepare` with the --holdout of before that run, or {_NEW_RUN}",
        )
    return int(np.count_nonzero(trained))


def require_evaluated_on_others(work: Workspace, run: RunConfig, holdings: Holdings, ledger: Path) -> None:
    """Refuse a run that evaluates a model, or its release, on people whom this institution trained it on.

    Asked are the run that made the model and those that it began from, as far as their models are here.

    Args:
        work: The institution's prepared work folder.
        run: About to be taken part in.
        holdings: What it would be taken part in with.
        ledger: Folder of the institution's ledger; where there is none, nobody was trained on.

    Raises:
        InputError: Likewise.
        IntegrityError: The ledger cannot be relied on, or a model is damaged.
    """
    if not isinstance(holdings.kind, HeldOutKind) or not begun(ledger):
        return
    here = {claimed_digest(folder): folder for folder in model_folders(holdings.prepared.models)}
    digest, seen = holdings.kind.evaluated(run), set[str]()
    while digest in here and digest not in seen:
        seen.add(digest)
        card = ArrayModel.load(here[digest]).card
        if took_part(ledger, name := str(card.get("run", ""))):
            require_untrained(work, name, ledger)
        digest = str(card.get("start", ""))
