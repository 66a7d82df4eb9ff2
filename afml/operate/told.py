"""A status as lines for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from afml.consortium.stage import Stage
from afml.core.bounded import at_least, at_most
from afml.operate.shown import AggregatorStatus, ManyStatus, NodeStatus, PartStatus, ServeStatus, Status
from afml.operate.words import counted, duration, size
from aggregator.standing import NodeStanding, RunStanding
from node.serving.standing import ServeStanding

SOON_DAYS = 30
"""Days before its end that a certificate is worth a word."""

_PARTS = {
    "silent": "its process has written nothing since {written}: it was killed, or its machine is down. Start it again",
    "starting": "starting: its process was begun, and has said nothing yet",
    "stopped": "stopped",
    "finished": "finished; the model is there",
    "ended": "has ended here for good",
    "planned": "approved or set aside in the ledger, and not begun",
}

_PUBLIC = {"to come": "which is to come", "under way": "which a node is making"}

_NOT_RUNNING = {
    "waiting": "waits",
    "aside": "was put aside: look, then start the daemon again",
    "refused": "was refused",
}


def lines(status: Status) -> Iterator[str]:
    """What a terminal shows."""
    if isinstance(status, ManyStatus):
        yield f"{counted(len(status.runs), 'run')}; {_space(status)}"
        for one in status.runs:
            yield from ("", *_aggregator(one))
    elif isinstance(status, ServeStatus):
        yield from _serve(status)
    else:
        yield from _aggregator(status) if isinstance(status, AggregatorStatus) else _node(status)


def _serve(status: ServeStatus) -> Iterator[str]:
    at = status.standing
    yield f"node {at.node} serves: {_process(status)}{', which is stopping in order' if at.draining else ''}"
    yield f"{at.count('running')} of {counted(at.at_once, 'place')} in use; {_answers(at)}"
    if at.problem:
        yield f"no further run is taken: {at.problem}"
    for one in at.runs:
        if one.state != "running":
            yield f"run {one.run}: {_NOT_RUNNING[one.state]} ({one.why})"
    yield _space(status)
    yield certificate(status.certificate_days)
    for work, found in zip(at.works, status.works, strict=True):
        yield from ("", f"{work}:", *_node(found))


def _answers(at: ServeStanding) -> str:
    last = f"last answered at {clock(at.answered)}" if at.answered else "has not answered yet"
    return f"aggregator {at.address} {last}"


def _aggregator(status: AggregatorStatus) -> Iterator[str]:
    at = status.standing
    how = f"over since {clock(at.since)}" if at.stage.over and status.state != "running" else _process(status)
    yield f"run {at.run} of consortium {at.consortium}, at {at.address}: {how}"
    waiting = "" if status.waiting_s is None else f", for {duration(status.waiting_s)}"
    yield _stage(at) + waiting + (f" ({at.reason})" if at.reason else "")
    if status.state == "running" and (awaited := [_named(node) for node in at.awaited]):
        yield f"awaited: {', '.join(awaited)}"
    yield _pace(status)
    update = f"{size(at.update_bytes)} an update of {at.parameters:,} parameters; " if at.update_bytes else ""
    yield f"{update}{_space(status)}"
    yield certificate(status.certificate_days)
    for node in at.nodes:
        gone = node.absent if status.state == "running" else None
        absent = f"; no process of it is connected, since {clock(gone)}" if gone is not None else ""
        yield f"  {_named(node)}: {node.state}{', awaited' if node.awaited else ''}{absent}"


def _process(status: AggregatorStatus | ServeStatus) -> str:
    at = status.standing
    if status.state == "running":
        return f"process {at.process}, since {clock(at.started)}"
    if status.state == "stopped":
        return f"its process stopped at {clock(at.written)} ({at.ended})"
    return f"its process has written nothing since {clock(at.written)}: it was killed, hangs, or its machine is down"


def _stage(at: RunStanding) -> str:
    if at.stage.over or at.stage is Stage.ENROLLING:
        return f"{at.stage.value}"
    return f"{at.stage.value}: round {at.round} of {at.rounds} ({at.phase}), attempt {at.attempt}"


def _pace(status: AggregatorStatus) -> str:
    at = status.standing
    told = f"{at.published} of {counted(at.rounds, 'round')} published, quorum {at.quorum}"
    if at.round_seconds is None:
        return told
    rounds, left = at.seconds_of_rounds if status.state == "running" else None, ""
    if rounds is not None:
        beside = f"; the public part, {_PUBLIC[at.public]}, takes its own time" if at.public else ""
        left = f", {duration(rounds)} left {'of rounds ' if at.public else ''}at that pace{beside}"
    return f"{told}; {duration(at.round_seconds)} a round{left}"


def _named(node: NodeStanding) -> str:
    return f"node {node.node}" + (f" ({node.name})" if node.name != f"node-{node.node}" else "")


def _node(status: NodeStatus) -> Iterator[str]:
    runs, entries = counted(len(status.parts), "run"), counted(status.entries, "entry", "entries")
    yield f"node {status.node}: {runs}, {entries} in its ledger"
    for part in status.parts:
        yield _part(part)
        if part.plan is not None and part.plan.state == "open":
            approved = ", approved" if part.plan.approved else ""
            yield f"  its plan is set aside in the ledger until {part.plan.until}{approved}"
    if status.budget is not None:
        one = status.budget
        yield (
            f"budget: {at_most(one.spent)} of {one.limit:.4g} sigma spent or set aside at delta {one.delta:g}, "
            f"{at_least(one.left)} left for the person who has least, since sigmas add as squares"
        )
    if status.insecure:
        yield "somebody took part in a simulation: no figure says what that cost"
    yield _space(status)
    if status.certificate_days is not None:
        yield certificate(status.certificate_days)


def _part(part: PartStatus) -> str:
    at = part.standing
    applied = f", {counted(part.applied, 'round')} applied" if part.applied and part.state != "finished" else ""
    if part.state == "running" and at is not None:
        left = "" if part.left_s is None else f", {duration(part.left_s)} left of it"
        doing = f"{at.doing}, since {clock(at.since)}{left}"
        return f"run {part.run}: {doing}{applied}; aggregator {at.address}, process {at.process}"
    told = _PARTS[part.state].format(written=clock(at.written) if at else "")
    return f"run {part.run}: {told}{applied}" + (f" ({part.why})" if part.why and part.why != "finished" else "")


def certificate(days: float) -> str:
    """The days of a certificate, and what to do where they are few."""
    if days < 0:
        return f"certificate: EXPIRED {duration(-days * 86_400)} ago; ask for another with `afml keys renew`"
    advice = "; ask for another with `afml keys renew`" if days < SOON_DAYS else ""
    return f"certificate: {days:.0f} days left{advice}"


def _space(status: Status) -> str:
    return f"{size(status.space.used)} in this folder, {size(status.space.free)} free on its disk"


def clock(seconds: float) -> str:
    """Local time, to the second, with its zone."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
