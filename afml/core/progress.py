"""Progress: what a party of a run says it is doing, and one step of a command with its bar.

A party tells `Event`s. Its terminal shows each as a line of text (`text_of`); another program, a demo that shows a
bar for one, reads them as JSON, one object a line, from the file of `--events PATH` (`events_to`, `EventReader`).

`console` shows text as text. A name in a ledger or a reason that an aggregator gives is neither markup nor a command to
the terminal, wherever it stands: in a line, a table, a title or beside a bar.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from afml.core.errors import InputError
from afml.core.plain import plain, plain_line


class PlainConsole(Console):
    """A console without markup: emphasis is asked for by `style`, never found in a text."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Text as it is, whatever markup the caller asks for; what a terminal would act on is written out."""
        return super().render_str(plain(text), **{**how, "markup": False, "emoji": False})


console = PlainConsole(stderr=False, highlight=False)

Kind: TypeAlias = Literal[
    "enrolled",  # the aggregator has admitted this node
    "keys",  # the nodes have agreed on the keys of the run
    "training",  # a round's clipped and noised sum is being made
    "encrypting",  # ... and has been written to the ledger
    "sending",  # ... and goes to the aggregator
    "applied",  # a published sum has been applied
    "public",  # the public part is being trained here
    "waiting",  # for somebody else; the text says for whom
    "witnessing",  # nodes vouch for each other's ledgers
    "finished",  # this party's part in the run is over
]


@dataclass(frozen=True)
class Event:
    """What a party of a run is doing. Nothing in it is secret: it goes to terminals, logs and files.

    Attributes:
        kind: What.
        round: Of the run, from 1; 0 where it concerns no round.
        rounds: Of the whole run.
        phase: Of the round.
        step: Of the public part, from 1; 0 at its beginning.
        steps: Of the whole public part.
        text: For people, where the kind does not say it all.
    """

    kind: Kind
    round: int = 0
    rounds: int = 0
    phase: str = ""
    step: int = 0
    steps: int = 0
    text: str = ""


Tell: TypeAlias = Callable[[Event], None]
_WORDS = {
    "keys": "keys agreed",
    "public": "training the public part",
    "witnessing": "exchanging countersignatures of ledgers",
}


def text_of(event: Event) -> str:
    """The event as one line for people."""
    if event.text:
        return plain_line(event.text)
    if event.round:
        return plain_line(f"round {event.round}/{event.rounds} ({event.phase}): {event.kind}")
    if event.steps:
        return f"public part: step {event.step} of {event.steps}"
    return _WORDS.get(event.kind, event.kind)


def untold(_: Event) -> None:
    """Tells nobody."""


@contextlib.contextmanager
def events_to(path: Path | None) -> Iterator[Tell]:
    """Append events to a file (or to a descriptor, /dev/fd/3 for one), one JSON object a line; None: to none."""
    if path is None:
        yield untold
        return
    with path.open("a", encoding="utf-8") as out:

        def tell(event: Event) -> None:
            out.write(json.dumps({name: value for name, value in asdict(event).items() if value}) + "\n")
            out.flush()

        yield tell


class EventReader:
    """Follows a file of events that another process writes."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def new(self) -> list[Event]:
        """Events since the last call; none while there is no file.

        Raises:
            InputError: A line is no event.
        """
        if not self._path.exists():
            return []
        with self._path.open("rb") as source:
            source.seek(self._read)
            data = source.read()
        whole = data[: data.rfind(b"\n") + 1]  # the writer may be in the middle of a line
        self._read += len(whole)
        try:
            return [Event(**json.loads(line)) for line in whole.splitlines()]
        except (ValueError, TypeError):
            raise InputError("holds a line that is no event", where=self._path) from None


#: Seconds after which a step that nobody watches on a terminal says that it is still at it.
QUIET_S = 30.0


class Step:
    """One running step of a command; `advance` moves its bar, `note` says what it is doing."""

    def __init__(self, label: str, total: int | None, progress: Progress | None) -> None:
        self.label, self.total, self._progress = label, total, progress
        self._id = progress.add_task(label, total=total) if progress else None
        self._done, self._doing, self._started = 0, "", time.monotonic()
        self._advanced = self._started

    @property
    def standing(self) -> str:
        """Where it stands, in one line: what it is doing, how much is done, and how long that took and may yet take."""
        elapsed = time.monotonic() - self._started
        told = f"{self.label}: {self._doing}" if self._doing else self.label
        if self.total and self._done:
            pace = (self._advanced - self._started) / self._done
            told = f"{told}: {self._done} of {self.total}, {elapsed:.0f} s so far"
            if self._started + elapsed - self._advanced > 2 * pace + 1:  # something that is not counted: no pace holds
                return plain_line(told)
            return plain_line(f"{told}, about {pace * max(self.total - self._done, 0):.0f} s left")
        return plain_line(f"{told}: {elapsed:.0f} s so far")

    def advance(self, steps: int = 1) -> None:
        """Move the bar on by `steps`."""
        self._done, self._advanced = self._done + steps, time.monotonic()
        if self._progress is not None and self._id is not None:
            self._progress.advance(self._id, steps)

    def note(self, text: str) -> None:
        """Say what is happening now."""
        self._doing = text
        if self._progress is not None and self._id is not None:
            self._progress.update(self._id, description=plain_line(f"{self.label}: {text}"))


@contextlib.contextmanager
def _heard(running: Step) -> Iterator[None]:
    """Print where a step stands every `QUIET_S` seconds: who reads a log sees that it is not stuck."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(QUIET_S):
            # Past the buffer of standard output: a child that is forked just now must not inherit its lock.
            with contextlib.suppress(OSError, ValueError):
                os.write(sys.stdout.fileno(), f"{running.standing}\n".encode())

    teller = threading.Thread(target=tell, daemon=True, name="progress")
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


@contextlib.contextmanager
def step(label: str, total: int | None = None, seconds: dict[str, float] | None = None) -> Iterator[Step]:
    """Show one step while it runs; record its wall time, in seconds, under `label` in `seconds`."""
    started = time.monotonic()
    if console.is_terminal:
        described = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), described, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield Step(label, total, progress)
    else:
        print(f"{label} ...", flush=True, file=sys.stdout)
        running = Step(label, total, None)
        with _heard(running):
            yield running
    elapsed = time.monotonic() - started
    if seconds is not None:
        seconds[label] = round(elapsed, 2)
    console.print(f"{label}: done in {elapsed:.1f} s")
