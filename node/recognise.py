"""Who at this institution has an account under another name."""

from __future__ import annotations

from afml.data.kind import DATA_KINDS
from afml.ledger.records import Recognised
from afml.ledger.store import Ledger
from node.workspace import Workspace


def recognise_people(ledger: Ledger, work: Workspace) -> Recognised:
    """Look at everybody's record, so that a renamed person keeps the account of before.

    Args:
        ledger: The institution's.
        work: Its prepared work folder.

    Raises:
        InputError: Somebody's record is known under a name that now stands for somebody else.
    """
    prepared = work.prepared()
    marks = DATA_KINDS.get(prepared.data.kind).marks(prepared.folder)
    return ledger.recognise(zip(prepared.people.samples, marks, strict=True))
