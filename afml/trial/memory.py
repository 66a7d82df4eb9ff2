"""How much memory a trial's processes hold: all of them together at once, and each command with what it forked.

Linux tells it in /proc. Of a page that several processes share each is charged its part (PSS), so that a sum counts
every page once. It is looked at once a second; a peak shorter than that may be missed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

_EVERY_S = 1.0
_PROC = Path("/proc")


class PeakMemory:
    """The largest that was seen while this context was entered.

    Args:
        running: Asked each time for the process ids of the commands that run now, by name.

    Attributes:
        together: Of all of them at once, bytes.
        by_name: Of each, with its descendants, bytes.
    """

    def __init__(self, running: Callable[[], Mapping[str, int]]) -> None:
        self.together, self.by_name = 0, dict[str, int]()
        self._running, self._over = running, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Look once."""
        parents, together = _parents(), 0
        for name, root in self._running().items():
            held = sum(_held(process) for process in _family(root, parents))
            self.by_name[name] = max(self.by_name.get(name, 0), held)
            together += held
        self.together = max(self.together, together)

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.look()


def _parents() -> dict[int, int]:
    """Process -> its parent, of all processes."""
    found = {}
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; after the last one come state and parent.
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _family(root: int, parents: Mapping[int, int]) -> set[int]:
    family, grown = {root}, True
    while grown:
        more = {process for process, parent in parents.items() if parent in family} - family
        grown = bool(more)
        family |= more
    return family


def _held(process: int) -> int:
    """Bytes; 0 of a process that has ended, or of another user's."""
    with contextlib.suppress(OSError, ValueError):
        for line in (_PROC / str(process) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
