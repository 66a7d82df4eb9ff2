"""What a work folder remembers of its institution's ledger: a ledger that knows less was deleted or rolled back.

The ledger's own head says that its entries belong together, not that they are all. Every run leaves the
head after its last spend beside its keys; a ledger must hold all of these heads before it is used again.
"""

from __future__ import annotations

from pathlib import Path

from afml.core.errors import IntegrityError
from afml.ledger.schema import begun
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from node.journal import HEAD
from node.workspace import Workspace

_CURE = "put it back with `afml ledger restore`"


def require_remembered(work: Workspace, ledger: Path) -> None:
    """Refuse to begin a ledger where this work folder has taken part in runs before.

    Raises:
        IntegrityError: It has, and there is no ledger in `ledger`.
    """
    if begun(ledger):
        return
    runs = {path.name for path in (work.root / "models").glob("*")}
    runs |= {path.parent.name for name in (HEAD, "state.bin") for path in (work.root / "runs").glob(f"*/{name}")}
    if runs:
        raise IntegrityError(
            f"took part in {len(runs)} runs ({', '.join(sorted(runs)[:3])}), and their ledger is not in {ledger}",
            where=work.root,
            cure=_CURE,
        )


def require_grown(work: Workspace, ledger: Ledger) -> None:
    """Refuse a ledger that lacks what this work folder's runs have entered into it.

    Raises:
        IntegrityError: It was rolled back, deleted or forked since.
    """
    witness = Witness(ledger)
    for path in sorted((work.root / "runs").glob(f"*/{HEAD}")):
        witness.require_past(path.read_text(encoding="utf-8"))
