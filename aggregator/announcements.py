"""What nodes are told of a run: read from its store, decided elsewhere."""

from __future__ import annotations

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.errors import ProtocolError
from afml.wire import federation_pb2 as wire
from aggregator.store.base import Store
from aggregator.waiting import awaited


def run_state(store: Store, config: RunConfig) -> wire.RunState:
    """The announcement that every watcher gets."""
    at = store.position()
    return wire.RunState(
        stage=at.stage.wire,
        round=at.attempt.round,
        attempt=at.attempt.number,
        cohort=cohort(store, at.attempt) if at.stage in (Stage.OPEN, Stage.SUMMING) else (),
        published_round=store.rounds.last_published(),
        cause=at.cause.wire if at.cause else None,
        awaited=awaited(store, config),
        since_ms=at.since_ms,
        makers=[
            wire.Maker(subject=subject, node=maker.node, done=maker.done)
            for subject, maker in store.makers.all().items()
        ],
    )


def cohort(store: Store, attempt: Attempt) -> list[wire.ReadyToken]:
    """The signed tokens of an attempt's cohort, ascending by node."""
    return [wire.ReadyToken.FromString(token) for token in store.attempts.cohort(attempt).values()]


def bound(store: Store, config: RunConfig, attempt: Attempt) -> Binding:
    """An attempt as the tokens of its cohort bind it: what every upload and its signatures must be of."""
    tokens = cohort(store, attempt)
    nodes, leases = tuple(token.node for token in tokens), tuple(token.lease for token in tokens)
    return Binding(config.run, config.digest(), attempt, nodes, leases)


def enrolments(store: Store) -> list[wire.Enrolment]:
    """All enrolments, once enrolment has closed.

    Raises:
        ProtocolError: It is still open.
    """
    if store.position().stage is Stage.ENROLLING:
        raise ProtocolError("enrolment is still open")
    return [wire.Enrolment.FromString(member.enrolment) for member in store.members.all().values()]
