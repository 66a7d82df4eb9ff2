"""Copies of a ledger, and the rule that makes it safe to put one back.

A backup is older than the ledger it was made of, sooner or later; put back, it forgets what was spent since.
So a copy is put back only if it holds every head that others keep of it: those that peers hand out
(`afml ledger heads`), and every spend, release, withdrawal and change of keys in the folder it replaces. What
else a ledger that was begun anew may hold, before its peers stopped it, can be entered again.

Peers meet before a run and after it. What was spent since the copy was made, in a run that was under way then, none of
them has seen. So a run that is open in the copy is closed as *lost*: its people are charged its whole plan, beyond
which this institution has spent nothing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.core.errors import InputError, IntegrityError
from afml.core.files import LOCK, hold_alone, staged_folder
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.people import KEY_FILE
from afml.ledger.schema import FILE, begun
from afml.ledger.snapshot import readable, snapshot
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness

_APART = (FILE, f"{FILE}-wal", f"{FILE}-shm", LOCK)
ASIDE = ".before-restore"
_FROM_BACKUP = "put a backup back with `afml ledger restore`"
_ASK = "ask them for `afml ledger heads`, and give each with --head"
_NEWER = (
    "put a newer backup back: this one forgets. Where there is none, this ledger cannot go on "
    "(docs/OPERATIONS.md, Restore)"
)
KEPT = ("spend", "release", "withdrawal", "succession", "import")
"""Kinds of entries that nobody may forget."""


@dataclass(frozen=True)
class Restored:
    """What was put back.

    Attributes:
        head: Its newest head, as it came back.
        asked: Institutions whose countersigned heads it holds.
        unasked: Others that this ledger has met: the next run asks them before anything is spent.
        lost: Runs that were open in the backup: they are closed, and charged whole.
    """

    head: notes.Checkpoint
    asked: tuple[str, ...]
    unasked: tuple[str, ...]
    lost: tuple[str, ...] = ()


def back_up(ledger: Path, out: Path) -> notes.Checkpoint:
    """Copy a ledger, also one that is in use, with its secret files; the copy is whole or not there.

    Returns:
        The head of the copy.

    Raises:
        InputError: There is no ledger, or `out` exists.
        IntegrityError: The ledger is empty, or not what its head signs: no copy of it would be of use.
    """
    if out.exists():
        raise InputError("exists already", where=out, cure="name a new folder for each backup")
    with staged_folder(out) as staged:
        with readable(ledger) as database, closing(sqlite3.connect(staged / FILE)) as copy:
            database.backup(copy)
            head = _head(copy, ledger)
        for path in sorted(ledger.iterdir()):
            if path.is_file() and path.name not in _APART:
                shutil.copyfile(path, staged / path.name)
        if not (staged / KEY_FILE).exists():
            raise IntegrityError(f"has lost its {KEY_FILE}: a copy could not be used", where=ledger, cure=_FROM_BACKUP)
        for path in staged.iterdir():
            path.chmod(0o600)
    out.chmod(0o700)
    return head


def restore(
    backup: Path,
    ledger: Path,
    key: Ed25519PrivateKey,
    origin: str,
    heads: Sequence[str],
    members: Mapping[str, bytes] | None = None,
) -> Restored:
    """Put a copy back, if nobody holds more of the ledger than is in it.

    Args:
        backup: What `back_up` made.
        ledger: Where it goes; what is there is set aside beside it.
        key: The institution's present signing key.
        origin: Name of its ledger.
        heads: Signed heads of this ledger that peers keep, each with the line by which one of them signed it too.
        members: Origin -> present key of other institutions, which may have changed since the backup.

    Raises:
        InputError: There is no backup, the ledger has peers and none of them was asked, something was set aside
            before, or a process has the ledger open that would be replaced.
        IntegrityError: Somebody holds a later or another head, or the backup is not a ledger of this key.
    """
    ledger = Path(os.path.realpath(ledger))  # what a link points to is replaced, and not the link
    aside = ledger.with_name(ledger.name + ASIDE)
    if aside.exists():
        raise InputError("was set aside by an earlier restore", where=aside, cure="move it to where evidence is kept")
    for name, there in ((FILE, begun(backup)), (KEY_FILE, (backup / KEY_FILE).is_file())):
        if not there:
            raise InputError(f"holds no {name}", where=backup, cure="name a folder that `afml ledger backup` made")
    with _alone(ledger):
        with staged_folder(ledger.with_name(ledger.name + ".restored")) as staged:
            copy_secrets(backup, staged)
            with _opened(staged, backup, key, origin) as copy:
                found = _checked(copy, backup, heads, members or {})
                _require_all_of(copy, ledger, backup)
                found = replace(found, lost=copy.plans.close_lost())
                copy.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        made = ledger.with_name(ledger.name + ".restored")
        made.chmod(0o700)
        if ledger.exists():
            ledger.rename(aside)
        made.rename(ledger)
    return found


def copy_secrets(source: Path, into: Path) -> None:
    """Copy the files of a ledger's folder that nobody has open, for their owner alone."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name != LOCK:
            shutil.copyfile(path, into / path.name)
            (into / path.name).chmod(0o600)


@contextmanager
def _alone(ledger: Path) -> Iterator[None]:
    """Nobody has the ledger open that is about to be replaced: what is entered meanwhile would be lost."""
    if not ledger.exists():
        yield
        return
    if not ledger.is_dir():
        raise InputError("is no folder", where=ledger, cure="correct --ledger")
    held = hold_alone(ledger, "command (`afml node`, for one)")
    try:
        yield
    finally:
        os.close(held)


def _opened(staged: Path, backup: Path, key: Ed25519PrivateKey, origin: str) -> Ledger:
    try:
        return Ledger.open(staged, key, origin=origin)
    except (InputError, IntegrityError) as error:
        raise type(error)(error.problem, where=backup, cure=error.cure) from None


def _checked(copy: Ledger, backup: Path, heads: Sequence[str], members: Mapping[str, bytes]) -> Restored:
    witness = Witness(copy)
    peers = {known.head.origin: known.key for known in witness.all_known()}
    if peers and not heads:
        raise InputError(
            f"{len(peers)} institutions have seen this ledger: a backup may forget what they saw",
            where=backup,
            cure=_ASK,
        )
    asked: set[str] = set()
    for note in heads:
        try:
            witness.require_past(note)
        except IntegrityError as error:
            raise IntegrityError(error.problem, where=backup, cure=_NEWER) from None
        asked |= {*notes.countersigners(note, peers), *notes.countersigners(note, members)}
    if peers and not asked:  # the institution's own word does not tell what others saw
        problem = "no head that was given is signed by an institution that has seen this ledger"
        raise InputError(problem, where=backup, cure=_ASK)
    return Restored(notes.parse(copy.checkpoint()), tuple(sorted(asked)), tuple(sorted(peers.keys() - asked)))


def _require_all_of(copy: Ledger, replaced: Path, backup: Path) -> None:
    """Refuse to replace what holds more than the copy, as far as it can be read: it may be damaged."""
    try:
        with snapshot(replaced) as database:
            marks = ", ".join("?" * len(KEPT))
            rows = database.execute(f"SELECT kind, leaf FROM entries WHERE kind IN ({marks})", KEPT).fetchall()
    except (InputError, sqlite3.DatabaseError):
        return
    held = set(copy.leaves())
    if lost := [kind for kind, leaf in rows if leaf not in held]:
        raise IntegrityError(
            f"lacks {len(lost)} entries of {replaced} (the first is a {lost[0]})",
            where=backup,
            cure=_NEWER,
        )


def _head(database: sqlite3.Connection, where: Path) -> notes.Checkpoint:
    leaves = [row[0] for row in database.execute("SELECT leaf FROM entries ORDER BY idx")]
    row = database.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        raise IntegrityError("is empty: there is nothing to keep yet", where=where)
    head = notes.parse(row[0])
    if (head.size, head.root) != (len(leaves), tree.root_of(leaves)):
        raise IntegrityError("is not what its head signs", where=where, cure="run afml audit verify")
    return head
