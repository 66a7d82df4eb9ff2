"""What a work folder remembers of its institution's ledger: a ledger that knows less was deleted or rolled back.

The ledger's own head says that its entries belong together, not that they are all. Every run leaves the
head after its last spend beside its keys; what people decide by hand (a withdrawal, a release, the closing of a run)
leaves one in the kit, since nobody else hears of it before the next run. A ledger must hold all of these heads before
it is used again, and a backup before it is put back.
"""

from __future__ import annotations

from pathlib import Path

from afml.consortium.nodekit import NodeKit
from afml.core.errors import IntegrityError
from afml.core.files import write_bytes
from afml.ledger.schema import begun
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from node.journal import HEAD
from node.workspace import Workspace

_CURE = "put it back with `afml ledger restore`"
KIT_HEAD = HEAD
"""In a kit: the head after the last entry that somebody made by hand."""


def runs_of(work: Workspace) -> set[str]:
    """Names of the runs that a work folder has taken part in, as far as it says itself."""
    runs = {path.name for path in (work.root / "models").glob("*")}
    return runs | {path.parent.name for name in (HEAD, "state.bin") for path in (work.root / "runs").glob(f"*/{name}")}


def require_remembered(work: Workspace, ledger: Path) -> None:
    """Refuse to begin a ledger where this work folder has taken part in runs before.

    Raises:
        IntegrityError: It has, and there is no ledger in `ledger`.
    """
    if begun(ledger):
        return
    if runs := runs_of(work):
        told = f"{len(runs)} run{'s' if len(runs) > 1 else ''} ({', '.join(sorted(runs)[:3])})"
        raise IntegrityError(
            f"took part in {told}, and no ledger of that is in {ledger}",
            where=work.root,
            cure=_CURE,
        )


def keep_in_kit(kit: NodeKit, ledger: Ledger) -> bool:
    """Keep the ledger's head in the kit, after an entry that only this institution knows of.

    Returns:
        Whether it could be written: a kit may lie on a disk that takes nothing.
    """
    if kit.folder is None:
        return False
    try:
        write_bytes(kit.folder / KIT_HEAD, ledger.checkpoint().encode())
    except OSError:
        return False
    return True


def kept_in_kit(kit: NodeKit) -> list[str]:
    """The head that `keep_in_kit` left, if any."""
    path = None if kit.folder is None else kit.folder / KIT_HEAD
    return [path.read_text(encoding="utf-8")] if path is not None and path.is_file() else []


def require_none_in_kit(kit: NodeKit, ledger: Path) -> None:
    """Refuse to begin a ledger of an institution whose kit knows of one.

    Raises:
        IntegrityError: Likewise.
    """
    if kept_in_kit(kit) and not begun(ledger):
        cure = "name the folder of the institution's ledger (--ledger), or put it back with `afml ledger restore`"
        raise IntegrityError(f"holds no ledger, and the kit {kit.folder} knows of one", where=ledger, cure=cure)


def require_grown(work: Path, ledger: Ledger, kit: NodeKit) -> None:
    """Refuse a ledger that lacks what this work folder's runs, or people by hand, have entered into it.

    Raises:
        IntegrityError: It was rolled back, deleted or forked since.
    """
    witness = Witness(ledger)
    runs = [path.read_text(encoding="utf-8") for path in sorted((work / "runs").glob(f"*/{HEAD}"))]
    for note in [*runs, *kept_in_kit(kit)]:
        witness.require_past(note)
