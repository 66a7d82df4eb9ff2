"""Work in forked processes of this one: side by side, and apart from what may end a process.

A child sees everything that its parent has in memory, shares nothing that either writes later, and gives its result
back when it is done. One that dies (a library that crashes on a damaged file, memory that runs out) is an error in the
parent and no end of it; when one fails, the others are ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import pickle
import selectors
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from afml.core.errors import AfmlError, InputError

T = TypeVar("T")
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""In the environment of a started `python -m`: what lies in its current folder is not imported, `./afml` for one."""
_PR_SET_PDEATHSIG = 1
_READ = 1 << 20
_END = 1 << 16  # bytes of a log in which the last line is looked for
_child = False


class ChildDied(Exception):
    """A child ended without a word; says how."""


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Linux: have the kernel send this process a signal when its parent is killed outright."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)


def usable_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_child() -> bool:
    """Whether this process is such a child."""
    return _child


def in_children(work: Sequence[Callable[[], T]], at_once: int) -> list[T]:
    """Do each piece of work in a child of its own.

    Args:
        work: Functions whose results can be pickled.
        at_once: Children that run side by side.

    Returns:
        The results, in order.

    Raises:
        AfmlError: What the first child to fail raised.
        ChildDied: A child was ended by a signal, or ended itself.
    """
    waiting = list(reversed(list(enumerate(work))))
    results: dict[int, T] = {}
    running: dict[int, _Child] = {}
    try:
        with selectors.DefaultSelector() as selector:
            while waiting or running:
                while waiting and len(running) < at_once:
                    number, one = waiting.pop()
                    running[number] = child = _Child(one)
                    selector.register(child.pipe, selectors.EVENT_READ, number)
                for key, _ in selector.select():
                    child = running[key.data]
                    if not child.read():
                        selector.unregister(child.pipe)
                        del running[key.data]
                        results[key.data] = child.result()
    finally:
        for child in running.values():
            child.end()
    return [results[number] for number in range(len(work))]


def from_child(make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Iterate over what a generator in a child yields; ends the child when the iteration is given up.

    Raises:
        AfmlError: As the generator.
        ChildDied: The child was ended by a signal, or ended itself.
    """
    child = _Child(None, make)
    try:
        with os.fdopen(os.dup(child.pipe), "rb") as stream:
            while True:
                try:
                    told = pickle.load(stream)
                except (EOFError, pickle.UnpicklingError):
                    break
                if told[0] != _ITEM:
                    child.ended_with(told)
                    return
                yield told[1]
            child.result()
    finally:
        child.end()


_ITEM, _DONE, _ERROR, _BUG = "item", "done", "error", "bug"


class _Child:
    """One forked process, and the pipe from it."""

    def __init__(self, work: Callable[[], Any] | None, make: Callable[[], Iterator[Any]] | None = None) -> None:
        self.pipe, theirs = os.pipe()
        self._held: list[bytes] = []
        self._waited = False
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            _live(theirs, work, make)
        os.close(theirs)

    def read(self) -> bool:
        """Take what has come; false when nothing more will."""
        part = os.read(self.pipe, _READ)
        self._held.append(part)
        return bool(part)

    def result(self) -> Any:
        """What the child gave back, once its pipe is closed; raises what it raised."""
        _, status = os.waitpid(self.pid, 0)
        self._waited = True
        os.close(self.pipe)
        if os.WIFSIGNALED(status):
            raise ChildDied(_how(os.WTERMSIG(status)))
        data = b"".join(self._held)
        if not data:
            raise ChildDied(f"it ended by itself with exit code {os.waitstatus_to_exitcode(status)}")
        return self.ended_with(pickle.loads(data))

    def ended_with(self, told: tuple[str, Any]) -> Any:
        """The result in a child's last words; raises what it raised."""
        kind, content = told
        if kind == _ERROR:
            made, problem, where, cure = content
            raise made(problem, where=where, cure=cure)
        if kind == _BUG:
            raise RuntimeError(content)
        return content

    def end(self) -> None:
        """End the child, unless it has ended."""
        if not self._waited:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            os.close(self.pipe)
            self._waited = True


def _live(pipe: int, work: Callable[[], Any] | None, make: Callable[[], Iterator[Any]] | None) -> NoReturn:
    """The whole life of a child."""
    global _child
    code, _child = 1, True
    try:
        die_with_parent()
        faulthandler.disable()  # the parent tells of a crash, in one line
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with os.fdopen(pipe, "wb") as out:
            try:
                if make is not None:
                    for item in make():
                        pickle.dump((_ITEM, item), out, pickle.HIGHEST_PROTOCOL)
                told: tuple[str, Any] = (_DONE, work() if work is not None else None)
            except AfmlError as error:
                told = (_ERROR, (type(error), error.problem, error.where, error.cure))
            except Exception:  # noqa: BLE001 (told to the parent, which raises it)
                told = (_BUG, traceback.format_exc())
            pickle.dump(told, out, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _how(number: int) -> str:
    name = signal.Signals(number).name
    return f"its process was ended by {name}" + (" (out of memory?)" if number == signal.SIGKILL else "")


def complaint(log: Path) -> str:
    """What a command of ours that ended said last into its log: the last line that starts with `afml:`, or the last."""
    with log.open("rb") as said:
        said.seek(max(0, log.stat().st_size - _END))
        lines = said.read().decode(errors="replace").splitlines() or ["no output"]
    ours = [line for line in lines if line.startswith("afml: ")]
    return (ours[-1].removeprefix("afml: ") if ours else lines[-1])[:400]


def died_reading(path: object, how: ChildDied, after: str = "") -> InputError:
    """The one line that tells of a child that died while it read a file."""
    place = f" {after}" if after else ""
    return InputError(f"reading ended{place}: {how}", where=path, cure="check the file, or make it again")
