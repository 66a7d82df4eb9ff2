"""Verifier, third part: the tables that recognise people under other names, against the entries that commit to them."""

from __future__ import annotations

import hmac
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afml.ledger.verify_spends import Copy


def renamed(database: sqlite3.Connection, before: int | None = None) -> dict[bytes, bytes]:
    """Keyed id -> keyed id whose account it shares in the end; links that lead back to themselves are left out.

    Args:
        database: The ledger's copy.
        before: Only what was known before this entry.
    """
    query = "SELECT person, account FROM same WHERE ?1 IS NULL OR idx < ?1"
    links = dict(database.execute(query, (before,)))
    sound: dict[bytes, bytes] = {}
    for start in links:
        seen, now = set(), start
        while now in links and now not in seen:
            seen.add(now)
            now = links[now]
        if now not in seen:
            sound[start] = now
    return sound


def check_records(copy: Copy, person_key: bytes | None) -> None:
    """Marks and renamings against their entries; what they mean needs the node's own key."""
    parts: dict[int, list[bytes]] = {}
    counts: dict[int, list[int]] = {}
    for place, (prefix, query) in enumerate(
        ((b"m", "SELECT idx, mark, person FROM marks"), (b"s", "SELECT idx, person, account FROM same"))
    ):
        for index, first, second in copy.database.execute(query):
            parts.setdefault(index, []).append(prefix + bytes(first) + bytes(second))
            counts.setdefault(index, [0, 0])[place] += 1
    entries = {i: body for i, body in enumerate(copy.bodies) if body.get("kind") == "records"}
    for index in sorted(parts.keys() | entries.keys()):
        body = entries.get(index, {})
        good = counts.get(index, [0, 0]) == [body.get("marks"), body.get("renamed")]
        if good and person_key is not None:
            message = b"records\x00" + b"".join(sorted(parts.get(index, [])))
            good = hmac.digest(person_key, message, "sha256").hex() == body.get("commitment")
        if not good:
            copy.result.add("edited-records", f"entry {index}", "other records or renamings are stored than it says")
    if len(renamed(copy.database)) != copy.database.execute("SELECT count(*) FROM same").fetchone()[0]:
        copy.result.add("edited-records", "same", "renamings lead in a circle")
    if entries:
        copy.result.checked.append(f"{len(entries)} entries about records against their tables")
