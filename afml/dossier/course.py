"""How far a dossier's run came at each institution, by which code, and how it ended there: a plan is no training."""

from __future__ import annotations

from typing import Any

from afml.dossier.collector import Collector


def course(c: Collector, ledger: str, node: int, bodies: list[dict[str, Any]]) -> None:
    """What the ledger of `node` says of it: the code, the last round that was spent in, and why it was closed."""
    run = c.document("run.json") or {}
    its = [body for body in bodies if run and body.get("run") == run["run"]]
    for index in [body["index"] for body in its if body["kind"] == "spend"][-1:]:
        c.leaf(f"run.last_round.{node}", ledger, (index, "/round"), "", f"last round that institution {node} spent in")
    for body in [body for body in its if body["kind"] == "reservation"][:1]:
        for package in body.get("code", ()):
            words = f"digest of package {package} that institution {node} said it runs, when it set its plan aside"
            c.leaf(f"run.code.{package}.{node}", ledger, (body["index"], f"/code/{package}"), "", words)
    for index in [body["index"] for body in its if body["kind"] == "closing"]:
        c.leaf(f"run.ended.{node}", ledger, (index, "/reason"), "", f"how it ended at institution {node}")
