"""Verifier: whether entries are of known kinds, and plans and spends numbers that can be composed and compared.

A writer that is honest writes nothing else. One that is not could leave out what the other checks compare, or put a
text, a NaN or no steps at all in its place, of which no comparison says that it is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from afml.ledger.verify_spends import Copy

KINDS = frozenset({
    "policy", "approval", "reservation", "spend", "closing", "release", "reassessment", "publication", "overlap",
    "overlap-answer", "withdrawal", "succession", "import", "records", "audit",
})  # fmt: skip
"""Of entries (docs/design/ledger.md). What another one means nobody here can say."""


def check_shapes(copy: Copy) -> None:
    """The kind of every entry, and what stands in plans and spends."""
    for position, body in enumerate(copy.bodies):
        if str(kind := body.get("kind")) not in KINDS:
            copy.result.add("malformed-entry", f"entry {position}", f"is of no known kind: {kind!r}")
        if kind in ("spend", "reservation") and (wrong := next(_wrong(body), "")):
            copy.result.add("malformed-entry", f"entry {position}", wrong)


def _wrong(body: Mapping[str, Any]) -> Iterator[str]:
    simulated = body.get("insecure")
    if not isinstance(simulated, bool):
        yield "does not say whether it is of a simulation"
    for name in ("budget", "lifetime"):
        limit = _table(body, name)
        if not (_within(limit.get("delta"), 0, 1) and (_positive(limit, "ple_sigma") or _positive(limit, "epsilon"))):
            yield f"its {name} is no limit at a delta"
    plan = body.get("plan")
    if not isinstance(plan, list) or not all(map(_is_step, plan)):
        yield "its plan is none of steps with noise"
    if body.get("kind") == "reservation":
        if type(body.get("expires_ms")) is not int:
            yield "does not say when it ends"
        return
    if not _is_step(body.get("mechanism")):
        yield "its mechanism is no step with noise"
    if not (_positive(body, "published_multiplier") and _positive(body, "broken_multiplier")):
        yield "does not say what noise was published, or is left if updates are read"
    claim, fixed = _table(body, "claim"), _table(_table(body, "claim"), "fixed_plan")
    numbers = [claim.get(name) for name in ("delta", "epsilon", "ple_sigma")]
    if simulated is False and not all(_within(one) for one in (*numbers, fixed.get("epsilon"), fixed.get("ple_sigma"))):
        yield "records no spend that could be recomputed"


def _table(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _within(value: object, low: float = 0.0, high: float = math.inf) -> bool:
    """Whether it is a finite number of that interval."""
    return type(value) in (int, float) and low <= float(str(value)) <= high and float(str(value)) < math.inf


def _positive(of: Mapping[str, Any], name: str) -> bool:
    return _within(of.get(name)) and of[name] != 0


def _is_step(event: object) -> bool:
    """Whether it is an event of Gaussian noise, of one step or more."""
    if not isinstance(event, dict) or not _positive(event, "noise_multiplier"):
        return False
    steps, rate = event.get("steps", 1), event.get("sample_rate", 1.0)
    return type(steps) is int and steps > 0 and _within(rate, 0, 1) and rate != 0
