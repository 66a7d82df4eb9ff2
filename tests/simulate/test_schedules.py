"""Whole runs under faults of every kind, on the product's own code; `make simulate` plays 10,000 of them.

    AFML_SCHEDULES=10000        how many
    AFML_SCHEDULE=1234          one of them again, with what happened

A schedule follows from its number. One that breaks something is played again without each kind of fault in turn, so
that the message says which of them it takes.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from afml.consortium.reasons import Cause, Reason
from afml.core.errors import Outdated
from afml.wire import federation_pb2 as wire
from aggregator.moves import Moves
from aggregator.scheme import Scheme
from tests.simulate.faults import Fault, Schedule
from tests.simulate.setting import Consortium, fast_folder
from tests.simulate.world import World

SCHEDULES = int(os.environ.get("AFML_SCHEDULES", "12"))
BLOCK = 12
"""Schedules of one test: what several workers share."""
TWINS, FORKED = 57, 80
"""Schedules with a twin; without nonces, the second one's ledgers fork."""
ONE = os.environ.get("AFML_SCHEDULE")


@pytest.fixture(scope="module")
def consortium() -> Iterator[Consortium]:
    root = fast_folder()
    yield Consortium(root)
    shutil.rmtree(root)


def play(consortium: Consortium, seed: int, without: frozenset[Fault] = frozenset()) -> World:
    """One history; its world, where nothing was broken."""
    world = World(consortium, Schedule(seed, without))
    world.play()
    return world


def takes(consortium: Consortium, seed: int) -> list[Fault]:
    """The kinds of faults that a schedule breaks something by, found by leaving out one after the other."""
    spared: set[Fault] = set()
    for kind in Fault:
        try:
            play(consortium, seed, frozenset({*spared, kind}))
        except AssertionError:
            spared.add(kind)
    return [kind for kind in Fault if kind not in spared]


def require_unbroken(consortium: Consortium, seed: int) -> World:
    """Play a schedule.

    Raises:
        AssertionError: It breaks something; says what, by which faults, and how to see it again.
    """
    try:
        return play(consortium, seed)
    except AssertionError as error:
        kinds = ", ".join(takes(consortium, seed)) or "no fault at all"
        again = f"AFML_SCHEDULE={seed} .venv/bin/python -m pytest tests/simulate -k one_schedule -s"
        raise AssertionError(f"schedule {seed}, by {kinds}: {error}\nonce more: {again}") from None


@pytest.mark.skipif(ONE is not None, reason="one schedule was asked for")
@pytest.mark.parametrize("first", range(0, SCHEDULES, BLOCK))
def test_no_schedule_of_faults_breaks_a_run(consortium: Consortium, first: int) -> None:
    for seed in range(first, min(first + BLOCK, SCHEDULES)):
        require_unbroken(consortium, seed)


@pytest.mark.skipif(ONE is None, reason="AFML_SCHEDULE=NUMBER plays one schedule and shows what happened")
def test_one_schedule(consortium: Consortium) -> None:
    world = World(consortium, Schedule(int(ONE or 0)))
    try:
        world.play()
    finally:
        print("\n".join(world.trace))


def test_a_schedule_is_the_same_every_time(consortium: Consortium) -> None:
    worlds = [play(consortium, 1) for _ in range(2)]
    assert worlds[0].trace == worlds[1].trace
    assert worlds[0].loop.time() == worlds[1].loop.time()


def test_schedules_draw_every_kind_of_fault(consortium: Consortium) -> None:
    drawn: Counter[Fault] = Counter()
    for seed in range(400):
        plan = Schedule(seed)
        for draw in (plan.call, plan.stream, plan.chunk, plan.machine):
            drawn.update(fault for fault in (draw() for _ in range(20)) if fault)
    assert set(drawn) == set(Fault)


def test_a_twin_is_refused_and_whichever_folder_is_newer_goes_on(consortium: Consortium) -> None:
    """Of this schedule: one that is refused beside its original, and then takes its place and leaves it behind."""
    world = play(consortium, TWINS)
    told = "\n".join(world.trace)
    assert "a twin of node 1 begins" in told
    assert "twin refused" in told
    node = world.nodes[1]
    assert [type(error) for error in node.errors] == [Outdated]
    assert node.taken is not None
    assert node.work.root.name != "work-1", "its operator has gone on with the copy"


def _fails_below_quorum(moves: Moves) -> None:
    if len(moves._membership.awaited()) < moves._config.quorum:
        moves.fail(Cause(reason=Reason.TOO_FEW_LEFT))


class _Twice:
    """A sum that holds its first update twice."""

    def __init__(self, adder: Any) -> None:
        self._adder, self._first = adder, True

    def add(self, payload: bytes) -> None:
        for _ in range(1 + self._first):
            self._adder.add(payload)
        self._first = False

    def total(self) -> bytes:
        return bytes(self._adder.total())


def _twice(scheme: Scheme, adder: Any = Scheme.adder) -> Any:
    return _Twice(adder(scheme))


class _Constant:
    """What draws nothing."""

    @staticmethod
    def token_bytes(size: int) -> bytes:
        return bytes(size)


BROKEN: dict[str, tuple[str, Any, str]] = {
    "a run fails below quorum": ("aggregator.moves.Moves._pause_if_hopeless", _fails_below_quorum, "the run failed"),
    "an update is added twice": ("aggregator.scheme.Scheme.adder", _twice, "left a run that could go on"),
    "processes of a node have one nonce": ("afml.consortium.lease.secrets", _Constant, "others hold another history"),
}
"""Where the product is broken, how, and what the invariants say."""


@pytest.mark.parametrize("name", BROKEN)
def test_what_would_break_a_run_is_seen(consortium: Consortium, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product broken on purpose, in one way: some schedule among a few says so."""
    place, broken, said = BROKEN[name]
    monkeypatch.setattr(place, broken)
    for seed in (*range(12), FORKED):
        try:
            play(consortium, seed)
        except AssertionError as error:
            if said in str(error):
                return
    raise AssertionError("no schedule has noticed")


def test_an_update_that_is_unpaid_or_another_one_is_seen(consortium: Consortium) -> None:
    """What no schedule makes the product do, said to whoever looks on."""
    world = play(consortium, 1)
    node, round_number, attempt, _ = next(iter(world.watch.first_sent))
    header = wire.UpdateHeader(node=node, round=round_number, attempt=attempt)
    parts = [wire.UpdatePart(header=header), wire.UpdatePart(chunk=wire.UpdateChunk(payload=b"another"))]
    world.watch.sent("SubmitUpdate", node, [part.SerializeToString() for part in parts])
    said = "; ".join(world.watch.problems)
    assert "sends what its ledger does not hold" in said  # the history's files are gone by now
    assert "sends two messages under the pads" in said
