"""Queries for people who are enrolled at two institutions (`afml overlap`): who took part, and what was answered."""

from __future__ import annotations

from typing import Any

from afml.dossier.collector import Collector


def asked(c: Collector, books: dict[str, list[dict[str, Any]]]) -> None:
    """Statements of the entries of all ledgers, and of how many of them came before the run set its plan aside.

    Args:
        c: The collector.
        books: Entries by the name of their ledger.
    """
    run, before = c.document("run.json"), dict[str, list[str]]()
    for ledger, bodies in books.items():
        plans = [
            body["index"] for body in bodies if body["kind"] == "reservation" and run and body["run"] == run["run"]
        ]
        for body in bodies:
            kind, index = body["kind"], body["index"]
            name, who = f"ledger.{ledger}.{kind}.{index}.people", f"query of run {body.get('run')}"
            if kind == "overlap":
                c.leaf(name, ledger, (index, "/people"), "people", f"{who}: people it took into it")
            elif kind == "overlap-answer":
                words = f"{who}: asked about by institution {body['node']}"
                c.leaf(name, ledger, (index, "/people"), "people", words)
            if kind in ("overlap", "overlap-answer") and (not plans or index < plans[0]):
                before.setdefault(kind, []).append(name)
    words = "institutions' parts in queries for people at two of them, by ledgers here, before the run was planned"
    c.derived("overlap.parts", "count", tuple(before.get("overlap", ())), "parts", words)
    words = "answers of one institution to another in these queries, by ledgers here"
    c.derived("overlap.answers", "count", tuple(before.get("overlap-answer", ())), "answers", words)
