"""Records under other names: who was renamed between two runs keeps the account of before.

The tables hold keyed marks (`afml.data.marks`) of everybody who was at the institution when it took part or released
something, and which name is another one's account. Both are committed to by entries of the kind `records`.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from afml.core.errors import InputError
from afml.ledger.log import Log
from afml.ledger.people import People, accounts_by_name


class Recognised(NamedTuple):
    """What came of looking at everybody's record.

    Attributes:
        people: How many were looked at.
        marked: How many have a record that can be recognised.
        renamed: How many turned out to have an account under another name, which is theirs from now on.
    """

    people: int
    marked: int
    renamed: int


def recognise(log: Log, people: People, records: Iterable[tuple[str, Sequence[bytes]]]) -> Recognised:
    """Look up everybody's record, join the accounts of those who were renamed, and remember the records.

    Two names that are there together are two people: preparing the data has told them apart. A name that is there
    with a record of its own does not give its account to another one.

    Args:
        log: The ledger.
        people: Its people.
        records: (name, marks) of everybody at the institution, enrolled or not.

    Raises:
        InputError: Somebody's record is known under a name that now stands for somebody else.
    """
    with log.transaction():
        count, marked = _present(log.database, people, records)
        _drop_shared(log.database)
        edges = _renamed(log.database)
        log.database.executemany("UPDATE temp.present SET person = ?2 WHERE person = ?1", edges)
        # Marks of 100,000 people are millions: they stay in the database, and are sorted once.
        log.database.execute("DROP TABLE IF EXISTS temp.new")
        log.database.execute(
            "CREATE TEMP TABLE new AS SELECT DISTINCT mark, person FROM temp.present WHERE NOT EXISTS "
            "(SELECT 1 FROM marks WHERE marks.mark = present.mark AND marks.person = present.person) ORDER BY 1, 2"
        )
        new = int(log.database.execute("SELECT count(*) FROM temp.new").fetchone()[0])
        if new or edges:
            rows = log.database.execute("SELECT mark, person FROM temp.new ORDER BY rowid")
            parts = itertools.chain((b"m" + a + b for a, b in rows), (b"s" + a + b for a, b in edges))
            body = {
                "kind": "records",
                "marks": new,
                "renamed": len(edges),
                "commitment": people.committed_in_order("records", parts).hex(),
            }
            index, _, _ = log.add(body, {})
            log.database.execute("INSERT INTO marks SELECT mark, person, ? FROM temp.new ORDER BY rowid", (index,))
            log.database.executemany("INSERT INTO same VALUES (?, ?, ?)", [(*edge, index) for edge in edges])
        log.database.execute("DROP TABLE temp.new")
        log.database.execute("DROP TABLE temp.present")
    return Recognised(count, marked, len(edges))


def _present(
    database: sqlite3.Connection, people: People, records: Iterable[tuple[str, Sequence[bytes]]]
) -> tuple[int, int]:
    """Fill a passing table with the keyed marks of everybody who is there: (people, how many have marks)."""
    database.execute("DROP TABLE IF EXISTS temp.present")
    database.execute("CREATE TEMP TABLE present (mark BLOB, person BLOB)")
    database.execute("DROP TABLE IF EXISTS temp.there")
    database.execute("CREATE TEMP TABLE there (person BLOB PRIMARY KEY) WITHOUT ROWID")
    count = marked = 0
    for name, marks in records:
        token = people.token(name)
        keyed = {people.committed("record", [mark])[:12] for mark in marks}
        database.execute("INSERT OR IGNORE INTO temp.there VALUES (?)", (token,))
        database.executemany("INSERT INTO temp.present VALUES (?, ?)", [(mark, token) for mark in sorted(keyed)])
        count, marked = count + 1, marked + bool(keyed)
    # Of both columns: what is grouped and sorted below is read from the index alone, in its order.
    database.execute("CREATE INDEX temp.present_mark ON present (mark, person)")
    return count, marked


def _drop_shared(database: sqlite3.Connection) -> None:
    """Marks that two people have who are both there tell nobody from anybody."""
    shared = "SELECT mark FROM temp.present GROUP BY mark HAVING count(DISTINCT person) > 1"
    database.execute(f"DELETE FROM temp.present WHERE mark IN ({shared})")


def _renamed(database: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
    """(account of a name that is there, account under which its record is known), the likeliest first."""
    same = accounts_by_name(database)
    there = {row[0] for row in database.execute("SELECT person FROM temp.there")}
    edges: dict[bytes, bytes] = {}
    itself: set[bytes] = set()
    taken: set[bytes] = set()
    of_others: list[bytes] = []
    for now, name in database.execute(
        "SELECT present.person, marks.person FROM temp.present JOIN marks USING (mark) "
        "GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2"
    ):
        known = same.get(name, name)
        if now == known:
            itself.add(now)
            continue
        if known in taken:
            continue
        if known in there:
            of_others.append(known)
            continue
        # Somebody known under several names: all of them are one account from now on.
        taken.add(known)
        if now in edges:
            edges[known] = edges[now]
        else:
            edges[now] = known
    if given_away := sum(known not in itself for known in of_others):
        raise InputError(
            f"the records of {given_away} people are known to the ledger under names that now stand for somebody else",
            where="enrolment",
            cure="give nobody a name that another person has had (--people), and run `afml prepare` again",
        )
    return sorted(edges.items())
