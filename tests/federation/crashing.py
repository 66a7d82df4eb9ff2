"""Run an `afml` command that dies at one chosen instruction, as if the machine had lost power there.

    python -m tests.federation.crashing before|after MODULE:NAME COUNT -- afml arguments...

The COUNT-th call of the named function kills the process with SIGKILL: nothing unwinds, nothing is flushed.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from typing import Any

from afml.cli.main import main


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(when: str, place: str, count: int) -> None:
    """Replace a function by one that dies `when` ("before" or "after") its `count`-th call."""
    module, _, name = place.partition(":")
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    calls = 0

    @functools.wraps(original)
    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == count:
            _die()
        result = original(*arguments, **options)
        if when == "after" and calls == count:
            _die()
        return result

    setattr(owner, last, dying)


if __name__ == "__main__":
    when, place, count, separator, *arguments = sys.argv[1:]
    assert separator == "--"
    arm(when, place, int(count))
    sys.argv = ["afml", *arguments]
    main()
