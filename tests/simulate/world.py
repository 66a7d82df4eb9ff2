"""One history: a run from its first start to its end, under whatever its schedule does to it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from afml.ledger import filtering
from afml.ledger.store import Ledger
from benchmarks.supplied import Nobody, SuppliedTask
from node.party import Party
from node.workspace import Holdings
from tests.simulate import network as wire
from tests.simulate.actors import Condition, Killed, Threading, current, pause
from tests.simulate.clock import Clock, SimulatedLoop
from tests.simulate.faults import Fault, Schedule
from tests.simulate.invariants import Watch
from tests.simulate.parties import OWNER, Aggregator, Institution, Pool
from tests.simulate.setting import DEADLINE_S, Consortium, PowersOfTwo, fast_folder

PATIENCE_S = 2 * 3600.0
"""Simulated seconds after the last fault in which every run must come to its end."""
DOWN_S = (0.1, 1.0, 20.0, 100.0)
ALL_IS_WELL_S = 60.0


class World:
    """One history.

    Args:
        consortium: Who there is.
        plan: What happens to them.
    """

    def __init__(self, consortium: Consortium, plan: Schedule) -> None:
        self.plan, self.root, self.loop = plan, fast_folder(), SimulatedLoop()
        self.trace: list[str] = []
        self.network = wire.Network(plan)
        run_file = consortium.run_file(plan)
        self.nodes = {
            number: Institution(consortium, number, self.root, run_file, self.loop)
            for number in range(1, plan.nodes + 1)
        }
        self.run = self.nodes[1].run
        self.aggregator = Aggregator(consortium, self.root, self.run, self.network, self.loop)
        self.watch = Watch(self)
        self.network.sent = self.watch.sent
        self._writes_left: dict[object, int] = {}
        self._twins: list[asyncio.Task[None]] = []

    def play(self) -> None:
        """From the first start to the end, and all that must hold of it.

        Raises:
            AssertionError: Something does not.
        """
        with pytest.MonkeyPatch.context() as patch:
            self._replace(patch)
            try:
                self.loop.run_until_complete(self._history())
                self.watch.at_the_end()
            finally:
                self._close()

    # -- what happens --------------------------------------------------------------------------------

    async def _history(self) -> None:
        serving = self.loop.create_task(self.aggregator.live(self._down_s))
        living = [self.loop.create_task(node.live(self._down_s)) for node in self.nodes.values()]
        faults = self.loop.create_task(self._faults())
        whole = asyncio.gather(*living)
        _, late = await asyncio.wait([whole], timeout=PATIENCE_S)
        self.watch.late = bool(late)
        for task in (faults, whole, serving):
            task.cancel()
        await asyncio.gather(faults, whole, serving, return_exceptions=True)
        self.aggregator.kill()
        for node in self.nodes.values():
            node.kill_all()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _down_s(self) -> float:
        if self.plan.over:
            return 60.0
        return self.plan.seconds(0.1, self.plan.random.choice(DOWN_S[1:]))

    async def _faults(self) -> None:
        for _ in range(self.plan.machine_faults):
            await asyncio.sleep(self.plan.seconds(0, self.plan.random.choice((0.3, 2.0, 10.0, 60.0))))
            fault = self.plan.machine()
            victim = self.plan.random.choice([self.aggregator, *self.nodes.values()])
            if fault is not None:
                self.say(f"{fault} at {_name(victim)}")
                await self._strike(fault, victim)
        await asyncio.sleep(self.plan.seconds(0, ALL_IS_WELL_S))
        self.plan.over = True
        self._writes_left.clear()
        for victim in (self.aggregator, *self.nodes.values()):
            victim.ahead_s = victim.furthest_s  # a clock that was set back is set right, as the ledger asks

    async def _strike(self, fault: Fault, victim: Institution | Aggregator) -> None:
        plan = self.plan
        if fault is Fault.KILL:
            victim.kill()
            victim.gone_until = self.loop.time() + self._down_s()
            if isinstance(victim, Aggregator) and plan.random.random() < 0.5:
                victim.keep_backup()
        elif fault is Fault.KILL_AT_WRITE:
            self._writes_left[victim] = plan.random.randrange(25)
        elif fault is Fault.STOP and isinstance(victim, Institution):
            victim.stop.set()
        elif fault is Fault.DISK_FULL:
            victim.fill(True)
            self.loop.call_later(plan.seconds(0.1, 60.0), victim.fill, False)
        elif fault is Fault.CLOCK_JUMP:
            victim.ahead_s += plan.seconds(-1, 2) * 86_400
            victim.furthest_s = max(victim.furthest_s, victim.ahead_s)
            if isinstance(victim, Aggregator):
                victim.slept_s += plan.seconds(0, 3 * DEADLINE_S)
        elif fault is Fault.SLOW and isinstance(victim, Institution):
            victim.slow_s = plan.seconds(0, 3 * DEADLINE_S)
        elif fault is Fault.TWIN and isinstance(victim, Institution):
            self._clone(victim)
        elif fault is Fault.RESTORE:
            self.aggregator.kill()
            if self.aggregator.restore():
                self.say("restored")

    def _clone(self, victim: Institution) -> None:
        """A copy goes on beside its original, or the original is off for as long as the copy has a start."""
        if (copy := victim.clone()) is None:
            return
        if self.plan.random.random() < 0.5:
            victim.kill()
            victim.gone_until = self.loop.time() + self.plan.seconds(0, 2 * DEADLINE_S)
        self.say(f"a twin of node {victim.node} begins")
        self._twins.append(self.loop.create_task(victim.twin(copy, self.plan.seconds(0, 8 * DEADLINE_S))))

    def say(self, what: str) -> None:
        """Note what happens, for whoever reads how a history failed."""
        self.trace.append(f"{self.loop.time():9.2f} {what}")

    # -- what the product finds in place of the world ------------------------------------------------

    def _replace(self, patch: pytest.MonkeyPatch) -> None:
        clock = Clock(self.loop, lambda: getattr(self._speaker(), "ahead_s", 0.0))
        for module in ("node.client", "node.room", "aggregator.timekeeping"):
            patch.setattr(f"{module}.time", clock)
        patch.setattr("aggregator.store.base.time", clock)
        patch.setitem(Ledger.open.__func__.__kwdefaults__, "clock", clock.time)  # type: ignore[attr-defined]
        patch.setattr("aggregator.timekeeping.TICK_S", 1.0)
        for module in ("node.announcements", "node.patience"):
            patch.setattr(f"{module}.threading", Threading)
        patch.setattr("node.announcements._LOOK_S", 5.0)
        patch.setattr("node.patience.random", self.plan.random)
        patch.setitem(_patience().__kwdefaults__, "now", clock.monotonic)
        patch.setattr("node.client.grpc.secure_channel", lambda *_: self.network.channel(self._speaker().node))
        patch.setattr("aggregator.summing.ProcessPoolExecutor", Pool)
        patch.setattr("node.journal.hold_alone", _held_until_death)
        shown = self.aggregator._consortium.aggregator.tls.certificate  # there is nobody to shake hands with
        patch.setattr("node.line.shown_by", lambda *_: shown)
        patch.setattr("node.take_part.reason", lambda *_: "")
        patch.setattr("node.take_part.preflight", lambda *_: None)
        patch.setattr("node.take_part.checked_holdings", self._holdings)
        patch.setattr("node.take_part.recognise_people", lambda *_: _Nothing)
        patch.setattr("node.take_part.keep_with_model", lambda *_: None)
        patch.setattr("node.take_part.Trainer", self._trainer)
        patch.setattr("node.catchup.apply_total", self.watch.applying)
        for name in ("keys", "codec"):  # one lock of all instances: nodes share it here as they never would
            patch.setattr(Party.__dict__[name], "lock", Condition())
        patch.setattr("afml.ledger.filtering.composed", _composed)
        patch.setattr(os, "fsync", self._syncing(os.fsync))
        self.loop.set_task_factory(_owned)
        self.loop.set_exception_handler(self.watch.unheard)
        structlog.configure(processors=[self._logged])

    def _speaker(self) -> Any:
        """Whose code runs: an institution, or the aggregator; None for nobody's."""
        actor = current()
        if actor is None:
            mine = OWNER.get() if asyncio._get_running_loop() is not None else None
            return self.aggregator if mine is not None and mine is self.aggregator.process else None
        here = actor.process
        return next(node for node in self.nodes.values() if node.process is here or here in node.twins)

    def _holdings(self, work: Any, run: Any, node: int, part: Any) -> Holdings:
        nobody: Any = None
        names = tuple(f"person-{index}" for index in range(run.enrolled[node]))
        return Holdings(SuppliedTask(run), Nobody(), names, nobody, nobody)

    def _trainer(self, run: Any, task: Any, enrolled: Any, group: Any) -> PowersOfTwo:
        here: Institution = self._speaker()

        def busy() -> None:
            slow, here.slow_s = here.slow_s, 0.0
            pause(slow or self.plan.seconds(0, 1))

        return PowersOfTwo(run, task, enrolled, node=here.node, busy=busy)

    def _syncing(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            here = self._speaker()
            if here is None:
                return
            if here.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if here in self._writes_left:
                self._writes_left[here] -= 1
                if self._writes_left[here] < 0:
                    del self._writes_left[here]
                    self.say(f"{_name(here)} dies at a write")
                    actor = current()
                    (here if actor is None else actor).process.kill()
                    raise Killed

        return fsync

    def _logged(self, _: Any, __: str, event: dict[str, Any]) -> Any:
        here = self._speaker()
        words = " ".join(f"{key}={value}" for key, value in event.items() if key != "run")
        self.say(f"{_name(here)}: {words}")
        raise structlog.DropEvent

    def _close(self) -> None:
        structlog.reset_defaults()
        with contextlib.suppress(RuntimeError):
            self.loop.close()
        shutil.rmtree(self.root, ignore_errors=True)


_compose, _compositions = filtering.composed, {}


def _composed(counts: Any, delta: float) -> Any:
    """What the independent verifier finds, computed once: histories ask for the same few again and again."""
    asked = (*sorted(counts.items()), delta)
    if asked not in _compositions:
        _compositions[asked] = _compose(counts, delta)
    return _compositions[asked]


class _Nothing:
    renamed = 0


def _name(who: Any) -> str:
    return "-" if who is None else f"node {who.node}" if isinstance(who, Institution) else "aggregator"


def _patience() -> Any:
    from node.patience import Patience

    return Patience.__init__


def _held_until_death(folder: Any, what: str) -> int:
    from afml.core.files import hold_alone

    handle = hold_alone(folder, what)
    actor = current()
    assert actor is not None
    actor.process.at_death.append(lambda: os.close(handle))
    return handle


def _owned(loop: Any, work: Any, context: Any = None) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context)
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is not None:
        owner.tasks[task] = None
        task.add_done_callback(owner.tasks.pop)
    return task


def played(consortium: Consortium, seed: int, without: Any = ()) -> Iterator[str]:
    """Play one; its trace."""
    world = World(consortium, Schedule(seed, without))
    world.play()
    yield from world.trace
