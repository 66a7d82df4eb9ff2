"""In what a policy allows more than the one before it: its entry in the ledger says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.policy import ANY, Policy


def looser(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """In what a policy allows more than the one before it, field by field; both as JSON values."""
    found: list[str] = []
    unsaid = now if before is None else Policy().model_dump(mode="json")  # of a policy older than the rule: its default
    for table, fields in now.items():
        for name, value in fields.items():
            old = (before or {}).get(table, {}).get(name, unsaid[table][name])
            if _looser(name, old, value):
                found.append(f"{table}.{name}: {_shown(old)} -> {_shown(value)}")
    return found


_SMALLER_IS_LOOSER = ("quorum", "min_group_size", "target_utility")
_FALSE_IS_LOOSER = ("approval", "verified_sums", "exact_noise")
_LOOSER = ("all", "majority", "none", "refuse", "charge")  # of two words of one field the later is looser


def _looser(name: str, old: Any, new: Any) -> bool:
    if isinstance(new, bool):
        return bool(old != new and new is not (name in _FALSE_IS_LOOSER))
    if isinstance(new, list):
        return ANY not in old and not set(new) <= set(old)
    if isinstance(new, str):
        return _LOOSER.index(new) > _LOOSER.index(old)
    return bool(new < old if name in _SMALLER_IS_LOOSER else new > old)


def _shown(value: Any) -> str:
    return f"{len(value)} listed" if isinstance(value, list) else str(value)
