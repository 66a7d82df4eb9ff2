"""Random histories of one run: requests lost, answers lost, restarts, silence, in any order.

Node i always sends the update 2^i. So a published sum is right exactly if it is the sum of 2^i over its
cohort; a member counted twice, left out, or added from another attempt shows as a wrong sum that names it.
"""

from __future__ import annotations

import tempfile
from enum import Enum, auto
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st

from afml.consortium.orders import What
from afml.core.errors import ProtocolError
from tests.aggregator.machine import Machine, small_run


class Fate(Enum):
    """What the network does with one call."""

    DONE = auto()
    REQUEST_LOST = auto()  # the aggregator never hears it
    ANSWER_LOST = auto()  # it acts, the node does not know, and says it again later


NODES, ROUNDS = 4, 2
NATURAL = {"enrolling": "enrol", "gathering": "ready", "paused": "ready", "open": "upload", "summing": "sum"}
ORDERS = {"hold": What.PAUSE, "resume": What.RESUME, "extend": What.EXTEND}
OUT_OF_TURN = ["enrol", "ready", "upload", "decline", "report", "restart", "wait", "leave", "away", *ORDERS]
steps = st.tuples(
    st.sampled_from(["natural"] * 12 + OUT_OF_TURN),  # mostly what an announcement asks for
    st.integers(1, NODES),
    st.sampled_from([Fate.DONE, Fate.DONE, Fate.REQUEST_LOST, Fate.ANSWER_LOST]),
)


class World:
    """The machine, the files it keeps, and what every node remembers."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder, small_run(NODES, quorum=3, rounds=ROUNDS))
        self.files: dict[tuple[int, int], dict[int, int]] = {}  # attempt -> node -> update on disk
        self.sums: dict[int, int] = {}
        self.joined: dict[int, set[tuple[int, int]]] = {node: set() for node in range(1, NODES + 1)}
        self.fixed: dict[tuple[int, int], list[int]] = {}

    def call(self, kind: str, node: int) -> None:
        stage, round_number, attempt = self.machine.at
        here = (round_number, attempt)
        if kind == "enrol":
            self.machine.enrol(node)
        elif kind == "ready" and stage in ("gathering", "paused", "open"):
            self.machine.engine.ready(self.machine.token(node, *here))
            self.joined[node].add(here)
        elif kind == "upload" and stage == "open":
            header = self.machine.header(node)
            if self.machine.engine.expects_upload(header):
                self.files.setdefault(here, {})[node] = 2**node
                self.machine.upload(node)
        elif kind == "decline":
            self.machine.decline(node, *here)
        elif kind == "report" and self.machine.store.rounds.last_published():
            self.machine.report(node, self.machine.store.rounds.last_published())
        elif kind == "leave":
            self.machine.leave(node)
        elif kind == "away":
            self.machine.away(node)
        elif kind in ORDERS:
            self.machine.order(ORDERS[kind], seconds=5.0)

    def happen(self, kind: str, node: int, fate: Fate) -> None:
        stage, round_number, attempt = self.machine.at
        if kind == "natural":
            kind = NATURAL.get(stage, "report")
        if kind == "restart":
            self.machine.restart()
        elif kind == "wait":
            self.machine.wait(3 + node * 3)
        elif kind == "sum":
            if stage == "summing":
                self.sums[round_number] = sum(self.files[round_number, attempt].values())
                self.machine.publish()
        elif fate is not Fate.REQUEST_LOST:
            try:
                self.call(kind, node)
                if fate is Fate.ANSWER_LOST:
                    self.call(kind, node)
            except ProtocolError:
                pass  # refused, in one line
        self.check()

    def check(self) -> None:
        stage, round_number, attempt = self.machine.at
        if stage in ("open", "summing"):
            cohort = self.machine.cohort
            assert len(cohort) >= 3, "a cohort below the quorum"
            assert self.fixed.setdefault((round_number, attempt), cohort) == cohort, "a cohort changed"
            assert all((round_number, attempt) in self.joined[node] for node in cohort), "nobody is drafted"
        if stage == "failed":
            there = [member for member in self.machine.store.members.all().values() if member.left is None]
            assert len(there) < 3, "a run failed whose quorum could still be met"
        for published, total in self.sums.items():
            found = self.machine.store.rounds.published(published)
            assert found is not None, "a published round was forgotten"
            cohort = self.machine.cohort_of(found.attempt)
            assert total == sum(2**node for node in cohort), f"round {published}: {total:b} for {cohort}"
        assert set(self.sums) == set(range(1, self.machine.store.rounds.last_published() + 1))


@settings(max_examples=25)
@given(st.integers(0, NODES), st.lists(steps, min_size=40, max_size=90))
def test_a_published_sum_holds_every_member_exactly_once(enrolled: int, history: list[tuple[str, int, Fate]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for node in range(1, enrolled + 1):
            world.happen("enrol", node, Fate.DONE)
        for step in history:
            world.happen(*step)
        event(f"{len(world.sums)} rounds published")
        world.machine.store.close()


TROUBLE = ["restart", "away", "wait", "hold", "resume"]
troubled = st.tuples(st.integers(1, NODES), st.sampled_from(Fate), st.sampled_from(["", "", *TROUBLE]))


@settings(max_examples=10)
@given(st.lists(troubled, max_size=60))
def test_patient_nodes_finish_whatever_is_lost(history: list[tuple[int, Fate, str]]) -> None:
    """Whatever the network did, once it works and nobody left, the run comes to its end."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for node in range(1, NODES + 1):
            world.happen("enrol", node, Fate.DONE)
        for node, fate, trouble in history:
            if trouble:
                world.happen(trouble, node, Fate.DONE)
            world.happen("natural", node, fate)
        world.happen("resume", 1, Fate.DONE)
        for node in range(1, NODES + 1):
            world.happen("enrol", node, Fate.DONE)  # every node's process was started again
        for _ in range(8 * ROUNDS):
            for node in range(1, NODES + 1):
                world.happen("natural", node, Fate.DONE)
        assert world.machine.at[0] == "finished"
        assert set(world.sums) == set(range(1, ROUNDS + 1))
        if not {"away", "wait", "hold"} & {trouble for _, _, trouble in history}:
            assert world.sums == dict.fromkeys(range(1, ROUNDS + 1), 2 + 4 + 8 + 16)  # nobody was given up
        assert world.machine.engine.settled()
        world.machine.store.close()
