"""Progress: a bar that says what is happening now on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

console = Console(stderr=False, highlight=False)


class Task:
    """One running step; `advance` moves its bar, `note` says what it is doing."""

    def __init__(self, label: str, total: int | None, progress: Progress | None) -> None:
        self.label, self.total, self._progress = label, total, progress
        self._id = progress.add_task(label, total=total) if progress else None

    def advance(self, steps: int = 1) -> None:
        """Move the bar on by `steps`."""
        if self._progress is not None and self._id is not None:
            self._progress.advance(self._id, steps)

    def note(self, text: str) -> None:
        """Say what is happening now."""
        if self._progress is not None and self._id is not None:
            self._progress.update(self._id, description=f"{self.label}: {text}")


@contextlib.contextmanager
def step(label: str, total: int | None = None, seconds: dict[str, float] | None = None) -> Iterator[Task]:
    """Show one step while it runs; record its wall time, in seconds, under `label` in `seconds`."""
    started = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield Task(label, total, progress)
    else:
        print(f"{label} ...", flush=True, file=sys.stdout)
        yield Task(label, total, None)
    elapsed = time.monotonic() - started
    if seconds is not None:
        seconds[label] = round(elapsed, 2)
    console.print(f"{label}: done in {elapsed:.1f} s")
