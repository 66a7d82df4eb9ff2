"""A good ledger with its transcript, and hands to tamper with it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afml.consortium.run import RunConfig
from afml.core.config import canonical_json
from afml.ledger import checkpoint as notes
from afml.ledger import tree
from afml.ledger.findings import CODES, Verification
from afml.ledger.receipt import Receipt
from afml.ledger.verify import Evidence, verify
from tests.ledger.helpers import (
    KEY,
    ORIGIN,
    PUBLIC,
    Clock,
    read_transcript,
)


@dataclass
class Case:
    """A ledger with two runs of 3 rounds, and the aggregator's transcript of both."""

    folder: Path
    transcript: Path
    runs: list[RunConfig]
    receipts: list[list[Receipt]]
    clock: Clock

    def edit(self, statements: str) -> None:
        """What somebody with the file and SQLite can do."""
        database = sqlite3.connect(self.folder / "ledger.db")
        database.executescript("DROP TRIGGER IF EXISTS entries_stay; DROP TRIGGER IF EXISTS entries_remain;")
        database.executescript(statements)
        database.close()

    def rewrite(self, index: int, **changes: Any) -> None:
        """Change an entry and everything that follows from it: columns, leaf, head; needs the node's key."""
        self.put(index, canonical_json({**self.body(index), **changes}))

    def body(self, index: int) -> dict[str, Any]:
        """What an entry says."""
        with sqlite3.connect(self.folder / "ledger.db") as database:
            (raw,) = database.execute("SELECT body FROM entries WHERE idx = ?", (index,)).fetchone()
        return dict(json.loads(raw))

    def put(self, index: int, data: bytes) -> None:
        """Put another text in an entry's place, with all that follows from it."""
        database = sqlite3.connect(self.folder / "ledger.db")
        database.executescript("DROP TRIGGER IF EXISTS entries_stay;")
        body = json.loads(data)
        texts = [json.dumps(body[name]) if name in body else None for name in ("mechanism", "plan")]
        left = body["broken_multiplier"] if isinstance(body.get("broken_multiplier"), int | float) else None
        database.execute(
            "UPDATE entries SET body = ?, leaf = ?, mechanism = ?, plan = ?, broken_multiplier = ?, time_ms = ? "
            "WHERE idx = ?",
            (data, tree.leaf_hash(data), *texts, left, body["time_ms"], index),
        )
        leaves = [row[0] for row in database.execute("SELECT leaf FROM entries ORDER BY idx")]
        note = notes.sign(notes.Checkpoint(ORIGIN, len(leaves), tree.root_of(leaves)), KEY)
        database.execute("DELETE FROM checkpoints")
        database.execute("INSERT INTO checkpoints VALUES (?, ?)", (len(leaves), note))
        database.commit()
        database.close()

    def check(self, key: bytes = PUBLIC, **changes: Any) -> Verification:
        """Verify it against the transcript; `changes` to the evidence."""
        evidence = Evidence(**{"transcript": read_transcript(self.transcript), **changes})
        return verify(self.folder, key=key, node=1, evidence=evidence)


def codes(result: Verification) -> set[str]:
    found = {finding.code for finding in result.findings}
    assert found <= CODES.keys()
    return found
