"""Entries of a ledger in words, a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from afml.ledger.publication import told as published
from afml.ledger.reassessment import verdict


def told(body: Mapping[str, object]) -> str:
    """What an entry of one of the kinds in `TOLD` says."""
    return TOLD[str(body["kind"])](body)


def iso(time_ms: object) -> str:
    """UTC time of an entry, to the second."""
    return datetime.fromtimestamp(int(str(time_ms)) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _release(body: Mapping[str, object]) -> str:
    earlier = body["earlier"]
    beside = f", with {len(earlier)} earlier releases of them" if isinstance(earlier, list) and earlier else ""
    return (
        f"release of run {body['run']}: {body['people']} people in {body['patterns']} patterns, least joint group "
        f"{body['smallest_joint_group']}{beside}, promised {body['min_group_size']}"
    )


def _reassessment(body: Mapping[str, object]) -> str:
    broken, target = body["broken"], body["target_rr"]
    names = [str(name) for name in broken] if isinstance(broken, list) else []
    kept, asked = verdict(names, None if target is None else float(str(target)))
    return (
        f"release #{body['release']} attacked again: RR {100 * float(str(body['rr'])):.3g} %, group size allows "
        f"{100 * float(str(body['rr_bound'])):.3g} %; least joint group {body['smallest_joint_group']}, promised "
        f"{body['promised']}; promises {kept}{asked and f'; asked: {asked}'}"
    )


def _overlap(body: Mapping[str, object]) -> str:
    asks, answers = (body[name] for name in ("asks", "answers"))
    return (
        f"query for shared people before run {body['run']}: about {body['people']} people, asks nodes {asks}, "
        f"answers nodes {answers}; outside epsilon"
    )


def _overlap_answer(body: Mapping[str, object]) -> str:
    return (
        f"query for shared people before run {body['run']}: answered node {body['node']} about {body['people']} "
        "people of its own"
    )


TOLD: dict[str, Callable[[Mapping[str, object]], str]] = {
    "release": _release,
    "reassessment": _reassessment,
    "publication": published,
    "overlap": _overlap,
    "overlap-answer": _overlap_answer,
}
