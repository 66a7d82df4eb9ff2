"""Copies of a work folder: whatever an aggregator shows to whom, no pad ever covers two messages."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import draw_lease
from afml.core.errors import AfmlError
from crypto.public.params import choose
from crypto.secret.pads import Pads
from node.outbox import Outbox
from tests.crypto.parties import CONFIG, FIRST, secrets

PARAMS, PAYLOAD = choose(3, 16, 100), 16
NODE = 2


@dataclass
class _Process:
    """A process of node 2 over a work folder of its own: the product's pads, lease and outbox."""

    folder: Path
    lease: bytes = field(default_factory=draw_lease)

    def __post_init__(self) -> None:
        self.pads = Pads(NODE, CONFIG, secrets(3)[NODE], self.lease)
        self.outbox = Outbox(self.folder, PAYLOAD)

    def again(self) -> _Process:
        return _Process(self.folder)


class Twins(RuleBasedStateMachine):
    """An aggregator that shows every process whatever nonces it likes, and an operator who copies and restores."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="afml-twins-"))
        self.processes = [_Process(self.root / "work")]
        self.snapshots: list[Path] = []
        self.nonces = [draw_lease(), self.processes[0].lease]  # all that were ever seen, and one of a peer
        self.shown: list[Binding] = []
        self.messages: dict[bytes, bytes] = {}  # pad -> what it covered

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def _copy(self, folder: Path) -> Path:
        copy = Path(tempfile.mkdtemp(dir=self.root)) / "work"
        shutil.copytree(folder, copy)
        return copy

    @rule(data=st.data())
    def a_copy_is_started_beside_the_first(self, data: st.DataObject) -> None:
        self._began(_Process(self._copy(data.draw(st.sampled_from(self.processes)).folder)))

    @rule(data=st.data())
    def a_process_is_started_again(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.processes) - 1))
        self._began(self.processes.pop(place).again())

    @rule(data=st.data())
    def a_snapshot_is_taken(self, data: st.DataObject) -> None:
        self.snapshots.append(self._copy(data.draw(st.sampled_from(self.processes)).folder))

    @rule(data=st.data(), under_it=st.booleans())
    def a_snapshot_is_put_back(self, data: st.DataObject, under_it: bool) -> None:
        if not self.snapshots:
            return
        place = data.draw(st.integers(0, len(self.processes) - 1))
        process = self.processes[place]
        shutil.rmtree(process.folder)
        shutil.copytree(data.draw(st.sampled_from(self.snapshots)), process.folder)
        if not under_it:  # else while the process goes on
            self.processes.pop(place)
            self._began(process.again())

    @rule(data=st.data(), number=st.integers(1, 2), cohort=st.sampled_from([(1, 2), (1, 2, 3)]))
    def an_attempt_is_invented(self, data: st.DataObject, number: int, cohort: tuple[int, ...]) -> None:
        leases = tuple(data.draw(st.sampled_from(self.nonces)) for _ in cohort)
        self.shown.append(Binding("run", CONFIG, Attempt(1, number), cohort, leases))

    @rule(data=st.data(), dies=st.booleans())
    def an_attempt_is_opened(self, data: st.DataObject, dies: bool) -> None:
        """One that somebody was shown before, for the most part."""
        process = data.draw(st.sampled_from(self.processes))
        own = Binding("run", CONFIG, FIRST, (1, 2), (self.nonces[0], process.lease))
        binding = data.draw(st.sampled_from([own, *self.shown]))
        self.shown.append(binding)
        cohort = binding.cohort
        message = np.random.default_rng().bytes(8)

        def make() -> Iterator[bytes]:
            process.pads.words(binding, range(1), PARAMS)  # refuses where it is not this process's
            for peer in sorted(set(cohort) - {NODE}):  # what a pair adds is what a colluding peer could take away
                pad = process.pads.pair(peer, binding, range(1), PARAMS).tobytes()
                assert self.messages.setdefault(pad, message) == message, "one pad covers two messages"
            if dies:
                raise InterruptedError
            yield message.ljust(PAYLOAD)

        with contextlib.suppress(AfmlError, InterruptedError):
            process.outbox.submission(binding, make)

    def _began(self, process: _Process) -> None:
        self.processes.append(process)
        self.nonces.append(process.lease)


def test_no_pad_ever_covers_two_messages() -> None:
    run_state_machine_as_test(Twins, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))
