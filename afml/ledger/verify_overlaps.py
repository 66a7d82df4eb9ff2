"""Verifier, fifth part: queries for shared people, against what was committed to first and the policy in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afml.ledger.verify_spends import Copy


def check_overlaps(copy: Copy) -> None:
    """Every answer is of a query that this institution took part in, once a node, and allowed at the time."""
    rules: Mapping[str, Any] | None = None
    begun: dict[str, Mapping[str, Any]] = {}
    answered: set[tuple[str, object]] = set()
    asked = 0
    for position, body in enumerate(copy.bodies):
        kind, run, where = body.get("kind"), str(body.get("run")), f"entry {position}, run {body.get('run')}"
        if kind == "policy":
            policy = body.get("policy")
            rules = policy.get("overlap", {}) if isinstance(policy, dict) else {}
        elif kind == "overlap":
            _require_allowed(copy, where, rules)
            if run in begun:
                copy.result.add("wrong-overlap", where, "takes part in one query twice")
            begun[run] = body
        elif kind == "overlap-answer":
            _require_allowed(copy, where, rules)
            asked += int(str(body.get("people", 0)))
            if rules is not None and asked > int(rules.get("people", 0)):
                copy.result.add("policy-broken", where, f"about {asked} people in all, in force {rules.get('people')}")
            its, node = begun.get(run), body.get("node")
            nodes = its.get("answers") if its is not None else None
            if its is None or its.get("config_digest") != body.get("config_digest") or node not in (nodes or ()):
                copy.result.add("wrong-overlap", where, f"answers node {node} without having committed to what about")
            if (run, node) in answered:
                copy.result.add("wrong-overlap", where, f"answers node {node} twice")
            answered.add((run, node))
    if begun:
        copy.result.checked.append(f"{len(begun)} queries for shared people and {len(answered)} answers")


def _require_allowed(copy: Copy, where: str, rules: Mapping[str, Any] | None) -> None:
    if rules is not None and not rules.get("allowed"):
        copy.result.add("policy-broken", where, "the policy in force does not allow to look for shared people")
