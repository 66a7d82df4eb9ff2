"""A ledger whose key is lost, or left behind with its consortium, goes on under a new founding key and name.

All entries of the old ledger are the first entries of the new one, as they were written; the entry after them says
whose they are and holds the proof that they are all: the old key's word, or the heads that a majority of the
institutions which have met the old ledger keep of it, countersigned. Tables and person.key come with them, so people
keep their accounts. What cannot be proven is that nobody goes on with the old folder as well: two names are two
ledgers to everybody else (docs/design/ledger.md, "Import").
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.roster import origin_of
from afml.core.config import canonical_json
from afml.core.errors import InputError, IntegrityError
from afml.core.files import staged_folder
from afml.ledger import checkpoint as notes
from afml.ledger.backup import back_up
from afml.ledger.findings import require_ok
from afml.ledger.log import Log
from afml.ledger.schema import FILE, begun, require_version
from afml.ledger.snapshot import readable
from afml.ledger.verify import Evidence, verify
from crypto.public import signing

KIND = "import"
_ASK = "ask the institutions that have met it for `afml ledger heads`, and give each with --head"


@dataclass(frozen=True)
class Proof:
    """That an old ledger is all there is of it.

    Attributes:
        heads: Signed heads of it that others keep, with their countersignatures.
        old_key: Its signing key; None where it is lost.
        members: Origin -> present key of other institutions, which may have changed since they met it.
    """

    heads: Sequence[str] = ()
    old_key: Ed25519PrivateKey | None = None
    members: Mapping[str, bytes] | None = None


@dataclass(frozen=True)
class Old:
    """A ledger that is to be imported: its name, its present key, and origin -> key of those it has met."""

    origin: str
    key: bytes
    peers: Mapping[str, bytes]


def statement(origin: str, old_key: str, new_key: str, size: int, root: str) -> bytes:
    """What the old key signs; keys and root in hex."""
    plain = {"origin": origin, "old_key": old_key, "new_key": new_key, "size": size, "root": root}
    return b"afml/v1/import\n" + canonical_json(plain)


def read_old(folder: Path) -> Old:
    """Whose ledger a folder holds.

    Raises:
        InputError: None, or one of another version.
    """
    with readable(folder) as database:
        require_version(database, folder)
        meta = dict(database.execute("SELECT name, value FROM meta"))
        peers = dict(database.execute("SELECT origin, key FROM peers"))
    return Old(meta["origin"], bytes.fromhex(meta["key"]), peers)


def import_ledger(
    source: Path, ledger: Path, key: Ed25519PrivateKey, proof: Proof, *, clock: Callable[[], float] = time.time
) -> notes.Checkpoint:
    """Begin a ledger with all entries of another one of the same institution.

    Args:
        source: The old ledger, or a backup of it; left as it is.
        ledger: Folder of the new one.
        key: The institution's new signing key, which founds it.
        proof: That the old one is all there is of it.
        clock: Unix seconds.

    Returns:
        The head of the new ledger.

    Raises:
        InputError: There is no old ledger, a new one is begun already, or nobody who met the old one was asked.
        IntegrityError: The old one is not what it claims, others hold more of it, or too few vouch for it.
    """
    if begun(ledger):
        raise InputError("holds a ledger already: old spends come first", where=ledger, cure="name a new folder")
    old, public = read_old(source), signing.public_bytes(key)
    if proof.old_key is not None and signing.public_bytes(proof.old_key) != old.key:
        raise IntegrityError("is not signed by the key of --old-kit", where=source, cure="leave --old-kit out")
    if public == old.key:
        raise InputError("has this very key", where=source, cure="put it back with `afml ledger restore`")
    with staged_folder(ledger) as staged:
        back_up(source, copy := staged / "copy")
        evidence = Evidence(heads=tuple(proof.heads), peers={**old.peers, **(proof.members or {})})
        require_ok(verify(copy, key=old.key, evidence=evidence))
        vouched = _vouched(source, old, proof)
        with closing(sqlite3.connect(copy / FILE, isolation_level=None)) as database:
            head = _enter(Log(database, key, copy, clock, signed_by=old.key), old, proof, vouched)
        require_ok(verify(copy, key=public, evidence=evidence))
        for path in sorted(copy.iterdir()):
            path.rename(staged / path.name)
        copy.rmdir()
    ledger.chmod(0o700)
    return head


def _vouched(source: Path, old: Old, proof: Proof) -> dict[str, bytes]:
    """Origin -> key of those who have met the old ledger, the key being the one that its head is countersigned by.

    Raises:
        InputError: Nobody was asked; or, where the old key is lost, no majority.
    """
    keys, found = dict(old.peers), set[str]()
    for note in proof.heads:
        for names in (old.peers, proof.members or {}):
            for name in notes.countersigners(note, names):
                keys[name] = names[name]
                found.add(name)
    found &= old.peers.keys()
    if not old.peers:
        return keys
    if not found:
        problem = "no head that was given is signed by an institution that has met this ledger"
        raise InputError(problem, where=source, cure=_ASK)
    if proof.old_key is None and 2 * len(found) <= len(old.peers):
        problem = f"its key is lost, and {len(found)} of {len(old.peers)} institutions that have met it vouch for it"
        raise InputError(f"{problem}: a majority must", where=source, cure=_ASK)
    return {name: keys[name] for name in old.peers}


def _enter(log: Log, old: Old, proof: Proof, vouched: Mapping[str, bytes]) -> notes.Checkpoint:
    """The entry after the old ones; from here on the ledger has the new name and key."""
    last, new = log.checkpoint(), signing.public_bytes(log.key)
    head = notes.parse(last)
    said = (old.origin, old.key.hex(), new.hex(), head.size, head.root.hex())
    signature = "" if proof.old_key is None else signing.sign(proof.old_key, statement(*said)).hex()
    body = {
        "kind": KIND, "origin": old.origin, "old_key": old.key.hex(), "new_key": new.hex(), "size": head.size,
        "root": head.root.hex(), "head": last, "heads": list(proof.heads), "signature": signature,
        "peers": {name: key.hex() for name, key in sorted(vouched.items())},
    }  # fmt: skip
    with log.transaction():
        log.origin = origin_of(new)
        for name, value in (("origin", log.origin), ("key", new.hex())):
            log.database.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
        _, _, note = log.add(body, {})
    log.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return notes.parse(note)
