"""Programs that block, in a simulation: each has a thread, only one runs at a time, and who is next is decided.

A thread of a simulated process runs until it asks for something that takes time: a call, a wait. Then the event loop
goes on, and lets it run again with the answer. `Threading` is what the product finds there under the name of the
module `threading`, so that its own threads, conditions and events take part.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Killed(BaseException):
    """The process of whoever meets this has ended at this instruction: no `except` of the product may hold it up."""


class Actor:
    """One thread of a simulated process."""

    def __init__(self, process: Process, target: Callable[[], None]) -> None:
        self.process = process
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._asked: Coroutine[Any, Any, Any] | None = None
        self._answer: tuple[Any, BaseException | None] = (None, None)
        self.ended = False
        self._thread = threading.Thread(target=self._run, args=(target,), daemon=True)
        self._thread.start()
        self.task = asyncio.get_running_loop().create_task(self._drive()) if _loop_runs() else None
        if self.task is None:
            process.later(self)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take part from now on (where a thread of a process has started this one)."""
        self.task = loop.create_task(self._drive())

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """In this actor's thread: what comes of `work`, while everybody else goes on."""
        if self.process.dead:
            work.close()
            raise Killed
        self._asked = work
        self._back.release()
        self._go.acquire()
        if self.process.dead:
            raise Killed
        value, error = self._answer
        if error is not None:
            raise error
        return value

    def unwind(self) -> None:
        """Let the thread of a dead process come to its end."""
        if self.task is not None:
            self.task.cancel()
        while not self.ended:
            self._turn()
        if self._asked is not None:
            self._asked.close()

    def _turn(self) -> None:
        self._go.release()
        self._back.acquire()

    async def _drive(self) -> None:
        while True:
            self._turn()
            if self.ended:
                return
            assert self._asked is not None
            work, self._asked = self._asked, None
            try:
                self._answer = (await work, None)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the program's to deal with
                self._answer = (None, error)

    def _run(self, target: Callable[[], None]) -> None:
        _here.actor = self
        self._go.acquire()
        try:
            if not self.process.dead:
                target()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told to whoever runs the process
            self.process.failed(error)
        finally:
            self.ended = True
            self._back.release()


class Process:
    """What dies as one: its threads, and whatever it holds open.

    Args:
        loop: Of the simulation.
        failed: Told what a thread of it ended by.

    Attributes:
        dead: It has ended.
        tasks: What runs for it on the event loop.
        at_death: What is let go of when it ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[BaseException], None]) -> None:
        self.loop, self.failed = loop, failed
        self.dead = False
        self.actors: list[Actor] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order: a set's would differ from one time to the next
        self.at_death: list[Callable[[], None]] = []

    def spawn(self, target: Callable[[], None]) -> Actor:
        """Begin another thread."""
        actor = Actor(self, target)
        self.actors.append(actor)
        return actor

    def later(self, actor: Actor) -> None:
        """Begin once the running thread waits."""
        self.loop.call_soon(lambda: actor.ended or self.dead or actor.begin(self.loop))

    def kill(self) -> None:
        """Power off. From the loop's thread, or from one of its own, which then raises `Killed`."""
        self.dead = True
        me = current()
        for actor in self.actors:
            if actor is not me and not actor.ended:
                actor.unwind()
        for task in list(self.tasks):
            task.cancel()
        for close in self.at_death:
            close()
        self.at_death.clear()


_here = threading.local()


def current() -> Actor | None:
    """Whose thread this is; None for the loop's."""
    return getattr(_here, "actor", None)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def pause(seconds: float) -> None:
    """In a thread of a simulated process: let time pass."""
    actor = current()
    assert actor is not None
    actor.wait_for(asyncio.sleep(seconds))


class Event:
    """As `threading.Event`."""

    def __init__(self) -> None:
        self._is_set, self._waiting = False, _Waiting()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._waiting.wake()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            self._waiting.wait(timeout)
        return self._is_set


class Condition:
    """As `threading.Condition`: holding it is nothing where only one thread runs."""

    def __init__(self) -> None:
        self._waiting = _Waiting()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> None:
        self._waiting.wait(timeout)

    def notify_all(self) -> None:
        self._waiting.wake()


class _Waiting:
    def __init__(self) -> None:
        self._woken: list[asyncio.Future[None]] = []

    def wait(self, timeout: float | None) -> None:
        actor = current()
        assert actor is not None, "only a simulated process waits"
        actor.wait_for(self._until(timeout))

    def wake(self) -> None:
        woken, self._woken = self._woken, []
        for future in woken:
            if not future.done():
                future.set_result(None)

    async def _until(self, timeout: float | None) -> None:
        future = asyncio.get_running_loop().create_future()
        self._woken.append(future)
        await asyncio.wait([future], timeout=timeout)


class Threading:
    """What the product finds under the name of the module `threading`."""

    Event, Condition, Lock = Event, Condition, Condition

    class Thread:
        """As `threading.Thread`, of the process that starts it."""

        def __init__(self, target: Callable[[], None], **_: object) -> None:
            self._target = target

        def start(self) -> None:
            """Begin."""
            actor = current()
            assert actor is not None, "only a simulated process has threads"
            actor.process.spawn(self._target)
