"""Verifier, fourth part: every other table against the entries, so that none of them can be made to forget.

Without the institution's person.key the number of people is checked, with it who they are.
"""

from __future__ import annotations

import bisect
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Iterable

from afml.ledger import independent
from afml.ledger.verify_records import renamed
from afml.ledger.verify_releases import check_released
from afml.ledger.verify_spends import Copy


def check_all(copy: Copy, person_key: bytes | None, key: bytes) -> None:
    """Check every table that is not the entries or their heads.

    Args:
        copy: The ledger.
        person_key: The institution's, where the auditor has it.
        key: The ledger's raw public key, from outside.
    """
    members = _check_enrolments(copy, person_key)
    gone = _check_withdrawn(copy, person_key)
    released = check_released(copy, person_key)
    _check_consent(copy, members, gone, released)
    _check_peers(copy)
    _check_meta(copy, key)
    if person_key is None:
        copy.result.unchecked.append("who the enrolled, withdrawn and released people are: person.key is not there")


def _commitment(person_key: bytes, of: bytes, rows: Iterable[bytes]) -> str:
    return hmac.digest(person_key, of + b"\x00" + b"".join(sorted(rows)), "sha256").hex()


def _check_enrolments(copy: Copy, person_key: bytes | None) -> dict[int, set[bytes]]:
    """The enrolled against the commitments in the entries; position of a spend -> its people."""
    members: dict[int, set[bytes]] = defaultdict(set)
    for person, enrolment in copy.database.execute("SELECT person, enrolment FROM enrolled"):
        members[enrolment].add(person)
    commitments = {n: c.hex() for n, c in copy.database.execute("SELECT enrolment, commitment FROM enrolments")}
    for enrolment in sorted(members.keys() ^ commitments.keys()):
        copy.result.add("edited-enrolment", f"enrolment {enrolment}", "has people and no commitment, or the reverse")
    if person_key is not None:
        for enrolment in sorted(members.keys() & commitments.keys()):
            if _commitment(person_key, b"enrolment", members[enrolment]) != commitments[enrolment]:
                copy.result.add("edited-enrolment", f"enrolment {enrolment}", "lists other people than were enrolled")
    found, used = {}, set()
    rows = copy.database.execute("SELECT enrolment FROM entries ORDER BY idx").fetchall()
    for position, ((enrolment,), body) in enumerate(zip(rows, copy.bodies, strict=True)):
        if body.get("kind") not in ("spend", "reservation", "overlap"):
            if enrolment is not None:
                copy.result.add("edited-row", f"entry {position}", "its look-up columns do not repeat its text")
            continue
        used.add(enrolment)
        people = members.get(enrolment, set())
        if commitments.get(enrolment) != body.get("enrolment") or len(people) != body.get("people"):
            problem = "other people are listed than were enrolled"
            copy.result.add("edited-enrolment", f"entry {position}", problem)
        found[position] = people
    for enrolment in sorted(commitments.keys() - used):
        copy.result.add("edited-enrolment", f"enrolment {enrolment}", "no entry is about it")
    copy.result.checked.append(f"{len(commitments)} enrolments against their commitments")
    return found


def _check_withdrawn(copy: Copy, person_key: bytes | None) -> dict[int, set[bytes]]:
    """The withdrawn against the entries; position of a withdrawal -> its people."""
    gone: dict[int, set[bytes]] = defaultdict(set)
    for person, index in copy.database.execute("SELECT person, idx FROM withdrawn"):
        gone[index].add(person)
    entries = {i: body for i, body in enumerate(copy.bodies) if body.get("kind") == "withdrawal"}
    for index in sorted(gone.keys() | entries.keys()):
        body, people = entries.get(index, {}), gone.get(index, set())
        wrong = len(people) != body.get("people")
        if not wrong and person_key is not None:
            wrong = _commitment(person_key, b"withdrawal", people) != body.get("commitment")
        if wrong:
            problem = f"{len(people)} people are marked by it, {body.get('people', 0)} withdrew, or others did"
            copy.result.add("edited-withdrawal", f"entry {index}", problem)
    copy.result.checked.append(f"{len(entries)} withdrawals against the people marked as withdrawn")
    return gone


def _check_consent(copy: Copy, *about: dict[int, set[bytes]]) -> None:
    """Nobody is in a spend or a release that came after the person withdrew, under whatever name was known by then."""
    members, gone, released = about
    changes = sorted(row[0] for row in copy.database.execute("SELECT idx FROM same"))
    known: dict[int, dict[bytes, bytes]] = {}

    def accounts(people: set[bytes], position: int) -> set[bytes]:
        place = bisect.bisect_left(changes, position)
        if place not in known:
            known[place] = renamed(copy.database, position)
        return {known[place].get(person, person) for person in people}

    for left_at, people in gone.items():
        for position, others in [*members.items(), *released.items()]:
            if position > left_at and (both := len(accounts(people, position) & accounts(others, position))):
                problem = f"is about {both} people who had withdrawn by entry {left_at}"
                copy.result.add("withdrawn-person", f"entry {position}", problem)


def _check_peers(copy: Copy) -> None:
    """What is remembered of others is what they signed."""
    rows = copy.database.execute("SELECT origin, size, root, note, key FROM peers").fetchall()
    for origin, size, root, note, key in rows:
        try:
            head = independent.read_head(note, key)
        except ValueError:
            head = None
        if head is None or (head.origin, head.size, head.root) != (origin, size, root):
            copy.result.add("edited-peer", origin, "the head that is remembered is not one that it signed")
    copy.result.checked.append(f"{len(rows)} remembered heads of other institutions against their signatures")


def _check_meta(copy: Copy, key: bytes) -> None:
    """The ledger's name is that of its first key, and the key it names is the present one."""
    meta = dict(copy.database.execute("SELECT name, value FROM meta"))
    since = max((i for i, body in enumerate(copy.bodies) if body.get("kind") == "import"), default=-1)
    later = copy.bodies[since + 1 :]  # an import gives the ledger the name of its new key
    first = next((str(b.get("old_key")) for b in later if b.get("kind") == "succession"), key.hex())
    founder = bytes.fromhex(first) if re.fullmatch(r"([0-9a-f]{2})+", first) else b""
    if meta.get("origin") != "afml/" + hashlib.sha256(founder).hexdigest()[:32]:
        copy.result.add("edited-meta", "origin", "is not the name that the founding key gives")
    if meta.get("key") != key.hex():
        copy.result.add("edited-meta", "key", "is not the present key")
    if strange := sorted(meta.keys() - {"version", "origin", "key"}):
        copy.result.add("edited-meta", ", ".join(strange), "is not a field of a ledger")
