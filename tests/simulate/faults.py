"""What can go wrong, by name, and a schedule of it that a seed draws."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class Fault(StrEnum):
    """One kind of fault.

    Those of a call: what the network does with it. Those of a machine happen to an institution or to the aggregator.
    """

    REQUEST_LOST = "request lost"  # never heard; the caller finds that out
    RESPONSE_LOST = "response lost"  # done; the caller does not know, and says it again
    DELAY = "delay"  # others' calls overtake it
    DUPLICATE = "duplicate"  # done twice
    REORDER = "reorder"  # given up by its caller, who says it again, and done after that
    CUT = "cut"  # a stream that ends in the middle
    CORRUPTED = "corrupted chunk"  # a bit of an update is another one

    KILL = "kill"  # the process ends, some time or other
    KILL_AT_WRITE = "kill at a write"  # ... between two writes that belong together
    STOP = "stop"  # it is asked to end
    DISK_FULL = "disk full"
    CLOCK_JUMP = "clock jump"  # of the wall clock, days; of the aggregator's, also a sleep of the whole machine
    SLOW = "slow"  # a node computes for longer than a deadline
    TWIN = "twin"  # a second process of a node, on a copy of its work folder: beside the first one, or before it
    RESTORE = "restore from backup"  # the aggregator's folder as it was when it last stopped, nothing published since


OF_CALLS = tuple(Fault)[:5]
OF_STREAMS = (Fault.REQUEST_LOST, Fault.DELAY, Fault.CUT)
OF_MACHINES = (
    Fault.KILL,
    Fault.KILL_AT_WRITE,
    Fault.STOP,
    Fault.DISK_FULL,
    Fault.CLOCK_JUMP,
    Fault.SLOW,
    Fault.TWIN,
    Fault.RESTORE,
)


class Schedule:
    """Draws everything that a history leaves open. The same seed draws the same.

    Args:
        seed: Any number.
        without: Kinds of faults that do not happen: to find out which of them a failure needs.

    Attributes:
        random: For what is no fault.
        happened: How often what happened.
        over: No more faults: everybody gets the chance to finish.
    """

    def __init__(self, seed: int, without: Iterable[Fault] = ()) -> None:
        self.seed, self._without = seed, frozenset(without)
        self.random = random.Random(seed)
        self.nodes = self.random.choice([3, 4, 4, 5])
        self.quorum = self.random.choice([3, 3, max(3, self.nodes - 1)])
        self.rounds = self.random.choice([1, 2, 2, 3])
        self._rate = self.random.choice([0.0, 0.02, 0.05, 0.15])
        self._chunks = self.random.choice([0.0, 0.0, 0.05])
        self.machine_faults = self.random.choice([0, 1, 2, 4, 7])
        self.happened: Counter[Fault] = Counter()
        self.over = False

    def call(self) -> Fault | None:
        """What becomes of a call."""
        return self._drawn(self._rate, OF_CALLS)

    def stream(self) -> Fault | None:
        """What becomes of a stream of answers."""
        return self._drawn(self._rate, OF_STREAMS)

    def chunk(self) -> Fault | None:
        """What becomes of an upload, beside what becomes of every call."""
        return self._drawn(self._chunks, (Fault.CORRUPTED,))

    def machine(self) -> Fault | None:
        """What happens to a machine next."""
        return self._drawn(1.0, OF_MACHINES)

    def seconds(self, least: float, most: float) -> float:
        """Some time."""
        return self.random.uniform(least, most)

    def _drawn(self, rate: float, kinds: tuple[Fault, ...]) -> Fault | None:
        happens, kind = self.random.random() < rate, self.random.choice(kinds)
        if self.over or not happens or kind in self._without:
            return None
        self.happened[kind] += 1
        return kind
