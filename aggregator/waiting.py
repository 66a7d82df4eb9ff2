"""Whom a run waits for, read from its store: what announcements, logs and `afml status` tell."""

from __future__ import annotations

from afml.consortium.reasons import Reason
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from aggregator.store.base import Store


def awaited(store: Store, config: RunConfig) -> list[int]:
    """Nodes without whose word, update or report the present stage does not end by itself, ascending.

    A deadline may end it without them, as long as a quorum is there.
    """
    at, members = store.position(), store.members.all()
    there = {node for node, member in members.items() if member.left is None}
    if at.stage is Stage.ENROLLING:
        return sorted(set(config.nodes) - set(members))
    if at.stage is Stage.PAUSED and at.cause is not None and at.cause.reason is Reason.HELD:
        return []
    if at.stage in (Stage.GATHERING, Stage.PAUSED):
        return sorted(there - set(store.attempts.tokens(at.attempt)))
    if at.stage is Stage.OPEN:
        return sorted(set(store.attempts.cohort(at.attempt)) - set(store.attempts.uploads(at.attempt)))
    if at.stage is Stage.FINISHED:
        return sorted(there - set(store.rounds.digests(config.rounds)))
    return []
