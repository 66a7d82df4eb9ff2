"""The independent verifier: reads a copy of a ledger and recomputes everything it claims.

It shares no tree, signature or accounting code with the writer (see `independent`) and reports every
disagreement under a name from `CODES`. What it needs from outside, because a ledger cannot vouch for
itself: the node's public key, and, for rollback, forks, hidden runs and replayed receipts, heads that
others have kept: the aggregator's transcript, countersigned notes.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from afml.core.config import canonical_json
from afml.ledger import independent
from afml.ledger import verify_plans as plans
from afml.ledger import verify_spends as spends
from afml.ledger import verify_tables as tables
from afml.ledger.findings import Verification
from afml.ledger.snapshot import snapshot
from afml.ledger.transcript import PublishedRound
from afml.ledger.verify_keys import Keys, keys_of
from afml.ledger.verify_overlaps import check_overlaps
from afml.ledger.verify_records import check_records
from afml.ledger.verify_shapes import check_shapes
from afml.ledger.verify_simulation import check_simulations
from afml.ledger.verify_spends import Copy


@dataclass(frozen=True)
class Evidence:
    """What others hold about a ledger.

    Attributes:
        transcript: The aggregator's published rounds, already verified by `transcript.read`.
        heads: Signed notes of this ledger that others have kept.
        peers: Origin name -> raw public key of institutions that countersign.
        countersignatures: Institutions that must have countersigned all that a run has countersigned (`_due`).
    """

    transcript: Sequence[PublishedRound] = ()
    heads: Sequence[str] = ()
    peers: Mapping[str, bytes] = field(default_factory=dict)
    countersignatures: int = 0

    def all_heads(self, copy: Copy, node: int | None) -> list[str]:
        """The heads of a ledger that others have kept, those that came with its node's updates included.

        Left out are those of entries that were lost with the ledger, of a run that is charged whole for it.
        """
        nodes = [(r, spends.node_in(r, copy.names, node)) for r in self.transcript]
        sent = (r.receipts[n].checkpoint for r, n in nodes if n in r.receipts and not copy.lost.knows_not(r, n))
        return [*self.heads, *sent]


def verify(folder: Path, *, key: bytes, node: int | None = None, evidence: Evidence | None = None) -> Verification:
    """Check a ledger.

    Args:
        folder: The ledger's folder; only read. person.key is used where it is present.
        key: The node's raw Ed25519 public key, from the roster.
        node: Its number in cohorts; by default that under which the transcript has its receipts.
        evidence: What others hold about it; without any, rollback, forks and hidden runs cannot be seen.

    Raises:
        InputError: There is no ledger in `folder`, or another version of AFML wrote it.
    """
    result, evidence = Verification(), evidence or Evidence()
    try:
        with snapshot(folder) as database:
            problems = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                raise sqlite3.DatabaseError(problems[0])
            copy = _read(database, result)
            _check_heads(copy, evidence, node, key)
            check_shapes(copy)
            spends.check_repeats(copy)
            spends.check_transcript(copy, evidence.transcript, node)
            check_records(copy, _person_key(folder))
            tables.check_all(copy, _person_key(folder), key)
            spends.check_accounting(copy)
            check_simulations(copy)
            plans.check_plans(copy)
            check_overlaps(copy)
    except (sqlite3.DatabaseError, TypeError) as error:
        result.add("truncated-file", folder / "ledger.db", f"cannot be read: {error}")
    except (ValueError, LookupError, ArithmeticError) as error:
        if not result.has("malformed-entry"):  # else it is named already
            result.add("malformed-entry", folder / "ledger.db", f"cannot be compared: {type(error).__name__}: {error}")
        result.unchecked.append("whatever comes after the entry that cannot be read as a ledger's")
    return result


def _person_key(folder: Path) -> bytes | None:
    path = folder / "person.key"
    return path.read_bytes() if path.is_file() else None


def _read(database: sqlite3.Connection, result: Verification) -> Copy:
    """Rows against their own bodies; positions; clock."""
    result.origin = str(database.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0])
    bodies: list[dict[str, object]] = []
    leaves: list[bytes] = []
    last_index, last_ms = -1, 0
    query = (
        "SELECT idx, kind, body, leaf, time_ms, run, round, attempt, mechanism, broken_multiplier, plan "
        "FROM entries ORDER BY idx"
    )
    for index, kind, raw, stored, time_ms, *columns in database.execute(query):
        where = f"entry {index}"
        body = _parse(raw)
        leaf = independent.leaf(raw)
        if body and not _canonical(body, raw):
            result.add(
                "malformed-entry", where, "is not in the one form that its text has: others may read another one"
            )
        if leaf != stored or not body:
            result.add("edited-row", where, "its text does not have the hash it was stored under")
        if index != last_index + 1:
            result.add("gap", where, f"entries {last_index + 1} to {index - 1} are missing before it")
        if body.get("index") != index:
            result.add("reordered", where, f"was written as entry {body.get('index')}")
        if not _repeats(body, [kind, time_ms, *columns]):
            result.add("edited-row", where, "its look-up columns do not repeat its text")
        if time_ms < last_ms:
            result.add("clock-set-back", where, f"is {(last_ms - time_ms) / 1000:.1f} s before the last")
        last_index, last_ms = index, time_ms
        bodies.append(body)
        leaves.append(leaf)
    result.entries = len(bodies)
    result.checked.append(f"{len(bodies)} entries against their hashes, order and clock")
    return Copy(database, result, bodies, leaves)


def _parse(raw: bytes) -> dict[str, object]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _canonical(body: dict[str, object], raw: bytes) -> bool:
    """Whether a text is the only one of what it says: no key twice, no number that is none."""
    try:
        return canonical_json(body) == raw
    except ValueError:
        return False


def _repeats(body: dict[str, object], columns: Sequence[object]) -> bool:
    """Whether the look-up columns of an entry hold what its text says."""
    kind, time_ms, run, round, attempt, mechanism, broken_multiplier, plan = columns
    spend, planned = body.get("kind") == "spend", body.get("kind") in ("spend", "reservation")
    return (
        (kind, time_ms) == (body.get("kind"), body.get("time_ms"))
        and (run, round, attempt) == (body.get("run"), body.get("round"), body.get("attempt"))
        and broken_multiplier == body.get("broken_multiplier")
        and _value(mechanism) == (body.get("mechanism") if spend else None)
        and _value(plan) == (body.get("plan") if planned else None)
    )


@functools.lru_cache(maxsize=4096)
def _value(text: object) -> object:
    """A JSON column; one run repeats the same few values in all its entries."""
    try:
        return json.loads(str(text)) if text is not None else None
    except ValueError:
        return "unreadable"


def _check_heads(copy: Copy, evidence: Evidence, node: int | None, key: bytes) -> None:
    """Own and foreign heads against the recomputed tree."""
    result, size = copy.result, len(copy.leaves)
    keys = keys_of(copy, key, evidence.peers)
    own = dict(copy.database.execute("SELECT size, note FROM checkpoints ORDER BY size"))
    parsed = [(note, False, _head(copy, note, keys, "the ledger's own head")) for note in own.values()]
    for at, (_, _, head) in zip(own, list(parsed), strict=True):
        if head is not None and head.size != at:
            result.add("edited-row", f"head of size {head.size}", f"is stored as the head of {at} entries")
    for note in dict.fromkeys(evidence.all_heads(copy, node)):
        parsed.append((note, True, _head(copy, note, keys, "a head kept by others")))
    roots = _roots(copy.leaves, {head.size for _, _, head in parsed if head})
    result.root = roots[size].hex()
    newest = max((head.size for _, kept, head in parsed if head and not kept), default=0)
    if newest < size:
        result.add("unsigned-tail", f"entries {newest} to {size - 1}", "no head of this ledger covers them")
    vouched = dict.fromkeys(evidence.peers, 0)  # institution -> entries under the newest head that it countersigned
    for note, kept, head in parsed:
        if head is None:
            continue
        where = f"head of size {head.size}"
        if head.size > size:
            result.add("rolled-back" if kept else "deleted-tail", where, f"but only {size} entries are left")
        elif roots[head.size] != head.root and kept:
            result.add("forked-head", where, "others hold another history")
        elif roots[head.size] != head.root and not result.has("edited-row", "reordered", "gap"):
            result.add("edited-row", f"entries 0 to {head.size - 1}", "the signed head covers something else")
        for name in _countersigners(copy, note, where, evidence.peers):
            if roots.get(head.size) == head.root:
                vouched[name] = max(vouched[name], head.size)
    heads = f"{len(own)} own and {len(parsed) - len(own)} foreign heads"
    by = Tally(entries for entries in vouched.values() if entries)
    told = ", ".join(f"to entry {entries - 1} of {size - 1} by {by[entries]}" for entries in sorted(by, reverse=True))
    result.checked.append(f"{heads}, countersigned {told or 'by nobody'}")
    if evidence.countersignatures:
        _check_countersigned(copy, sorted(vouched.values(), reverse=True), evidence.countersignatures)


def _due(bodies: Sequence[Mapping[str, object]]) -> int:
    """Entries that others had to countersign: nodes do so after a run's last round, which they close as finished first.

    What is entered since then (releases, withdrawals, plans) waits for the next run.
    """
    its = (i for i, body in enumerate(bodies, 1) if body.get("kind") == "spend" or body.get("reason") == "finished")
    return max(its, default=0)


def _check_countersigned(copy: Copy, vouched: Sequence[int], wanted: int) -> None:
    """Whether so many institutions vouch for all that they had to, and what nobody has vouched for since."""
    due, size = _due(copy.bodies), len(copy.leaves)
    enough = vouched[wanted - 1] if wanted <= len(vouched) else 0
    if enough < due or wanted > len(vouched):
        having = sum(entries >= due for entries in vouched)
        problem = f"{having} of {wanted} institutions have countersigned it to entry {due - 1}, its last of a run"
        copy.result.add("missing-countersignature", copy.result.origin, problem)
    elif enough < size:
        kinds = ", ".join(dict.fromkeys(str(body.get("kind")) for body in copy.bodies[enough:]))
        span = f"entry {enough}" if enough == size - 1 else f"entries {enough} to {size - 1}"
        problem = f"that {span} ({kinds}) stayed as written: others countersign next in a run"
        copy.result.unchecked.append(problem)


def _head(copy: Copy, note: str, keys: Keys, what: str) -> independent.Head | None:
    try:
        size = note.split("\n", 2)[1]
        imported = keys.imported(note.split("\n", 1)[0])  # of an earlier name: what is beyond that was left behind
        head = independent.read_head(note, keys.at(min(int(size), imported or int(size))))
    except (ValueError, IndexError):
        copy.result.add("wrong-key", what, "is not a checkpoint")
        return None
    if head is not None and imported is not None and head.size > imported:
        problem = f"{imported} entries of {head.origin} were imported"
        copy.result.add("rolled-back", f"head of size {head.size}", problem)
        return None
    if head is None or head.origin != keys.named(head.size):
        copy.result.add("wrong-key", what, "is not signed by this node's key for this ledger")
        return None
    return head


def _countersigners(copy: Copy, note: str, where: str, peers: Mapping[str, bytes]) -> set[str]:
    found = set()
    for name, key in peers.items():
        verdict = independent.countersigned(note, name, key)
        if verdict:
            found.add(name)
        elif verdict is False:
            copy.result.add("bad-countersignature", where, f"by {name}")
    return found


def _roots(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    tree = independent.Counter()
    roots = {0: tree.root()}
    for size, leaf in enumerate(leaves, start=1):
        tree.add(leaf)
        if size in sizes or size == len(leaves):
            roots[size] = tree.root()
    return roots
