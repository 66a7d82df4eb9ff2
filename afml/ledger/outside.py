"""What a verifier brings from outside a ledger, as an auditor gives it: keys or a roster, a transcript, kept heads."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from afml.consortium.refusal import Refusal
from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.core.files import read_text
from afml.ledger import transcript as transcripts
from afml.ledger.findings import Verification
from afml.ledger.schema import FILE
from afml.ledger.snapshot import snapshot
from afml.ledger.verify import Evidence, verify

_KEY_BYTES = 32


@dataclass(frozen=True)
class KeyOptions:
    """Where public keys come from: a roster, or their hex.

    Attributes:
        roster: The consortium's; gives all keys.
        node: Whose ledger it is; None: the institution on the roster that the ledger is named after.
        key: The node's public key, hex; stands above the roster's.
        aggregator_key: The aggregator's, hex; stands above the roster's.
    """

    roster: Path | None = None
    node: int | None = None
    key: str | None = None
    aggregator_key: str | None = None

    def resolve(self, ledger: Path) -> Keys:
        """The keys themselves.

        Args:
            ledger: Whose name is looked up on the roster, where no node is given.

        Raises:
            InputError: A text is no key, the roster lacks the node, or nothing gives the node's key.
        """
        peers: dict[str, bytes] = {}
        node = self.node
        signer, summing = _key(self.key, "--key"), _key(self.aggregator_key, "--aggregator-key")
        if self.roster is not None:
            roster = Roster.load(self.roster)
            node = _owner(roster, ledger) if node is None else node
            try:
                signer = signer or bytes.fromhex(roster.member(node).signing_key)
            except KeyError:
                raise InputError(f"has no node {node}", where=self.roster, cure="correct --node") from None
            if self.node is not None and self.key is None and (ledger / FILE).is_file():
                _require_own(roster, self.node, ledger)
            summing = summing or bytes.fromhex(roster.aggregator_key)
            peers = {
                member.origin: bytes.fromhex(member.signing_key) for member in roster.members if member.node != node
            }
        if signer is None:
            raise InputError(
                "the node's public key must come from outside the ledger",
                where=ledger,
                cure="give --roster, or --key",
            )
        return Keys(signer, summing, peers, node)


@dataclass(frozen=True)
class Keys:
    """Raw Ed25519 public keys.

    Attributes:
        signer: Of the node whose ledger it is.
        aggregator: Of the aggregator, where it is known.
        peers: Origin name -> key of institutions that countersign.
        node: Number of the institution in cohorts, where it is known.
    """

    signer: bytes
    aggregator: bytes | None = None
    peers: Mapping[str, bytes] = field(default_factory=dict)
    node: int | None = None


@dataclass(frozen=True)
class Files:
    """What others hold about a ledger, in files.

    Attributes:
        transcripts: The aggregator's.
        heads: Signed heads that others have kept, or folders of them.
        countersignatures: Institutions that must have countersigned all that a run has countersigned.
    """

    transcripts: tuple[Path, ...] = ()
    heads: tuple[Path, ...] = ()
    countersignatures: int = 0


def verify_with(ledger: Path, options: KeyOptions, files: Files) -> Verification:
    """Verify a ledger folder; see `afml.ledger.verify`.

    Raises:
        InputError: A key or a file is missing or wrong.
    """
    keys = options.resolve(ledger)
    rounds: list[transcripts.PublishedRound] = []
    refused: list[transcripts.RefusedSum] = []
    for path in files.transcripts:
        if keys.aggregator is None:
            raise InputError("needs the aggregator's key", where=path, cure="give --roster or --aggregator-key")
        rounds += transcripts.read(path, keys.aggregator)
        refused += transcripts.read_refusals(path, keys.aggregator)
    heads = [kept_head(path, _origin(ledger)) for path in files.heads]
    evidence = Evidence(rounds, heads, keys.peers, files.countersignatures)
    result = verify(ledger, key=keys.signer, node=keys.node, evidence=evidence)
    result.unchecked += [_who_bent(one.refusal, rounds) for one in refused]
    if not rounds:
        unseen = "hidden runs" if files.heads else "rollback, forks and hidden runs"
        told = "no round is in what was given as transcript" if files.transcripts else "no transcript was given"
        result.unchecked.append(f"{told}: {unseen} cannot be seen")
    return result


def _who_bent(refusal: Refusal, rounds: Sequence[transcripts.PublishedRound]) -> str:
    """A refused sum beside what was published, in words."""
    place = refusal.run, refusal.config_digest, refusal.round, refusal.attempt
    published = {r.sum for r in rounds if (r.run, r.config_digest, r.round, r.attempt) == place}
    which = "as it was published" if refusal.sum in published else "which is another one than was published"
    return (
        f"who bent the sum of run {refusal.run}, round {refusal.round}, attempt {refusal.attempt}: node {refusal.node} "
        f"refused it, {which} (SHA-256 {refusal.sum[:16]})"
    )


def head_name(origin: str) -> str:
    """What the file is called in which others hand out the last head of a ledger."""
    return f"{origin.rpartition('/')[2]}.txt"


def kept_head(path: Path, origin: str) -> str:
    """What somebody keeps of the ledger `origin`: the file, or the folder of many that `afml ledger heads` wrote.

    Raises:
        InputError: It is not there.
    """
    if path.is_dir() and not (path / head_name(origin)).is_file():
        raise InputError(f"holds no head of {origin}", where=path, cure="leave it out: they never met this ledger")
    return read_text(path / head_name(origin) if path.is_dir() else path, "signed head")


def name_of(ledger: Path, roster: Path | None) -> str:
    """What the roster calls the institution whose ledger it is; "" without a roster, or where it does not know it."""
    if roster is None:
        return ""
    origin = _origin(ledger)
    return next((member.name for member in Roster.load(roster).members if member.origin == origin), "")


def _owner(roster: Roster, ledger: Path) -> int:
    """The node that a ledger is named after; only its key, by which the ledger is then checked, proves it."""
    origin = _origin(ledger)
    for member in roster.members:
        if member.origin == origin:
            return member.node
    raise InputError("is of nobody on this roster", where=ledger, cure="give the roster of its consortium, or --node")


def _require_own(roster: Roster, node: int, ledger: Path) -> None:
    """Refuse a ledger that calls itself another member's: one line, not a finding an entry."""
    origin = _origin(ledger)
    whose = [member.node for member in roster.members if member.origin == origin]
    if whose and whose != [node]:
        raise InputError(f"is the ledger of node {whose[0]}", where=ledger, cure=f"give --node {whose[0]}")


def _origin(ledger: Path) -> str:
    """What a ledger calls itself."""
    try:
        with snapshot(ledger) as database:
            row = database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    except sqlite3.DatabaseError as error:
        problem = f"its name cannot be read ({error})"
        raise InputError(problem, where=ledger, cure="give --node, and files for --head") from None
    return "" if row is None else str(row[0])


def _key(text: str | None, option: str) -> bytes | None:
    if text is None:
        return None
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != _KEY_BYTES:
        raise InputError("is not the hex of a 32-byte public key", where=option)
    return value
