"""The daemon's folder is one daemon's: who starts while another has it is refused, or waits for what a killed one left.

The processes that play runs hold the lock of the folder with their daemon. Where it is killed they end too, yet not at
once: one of them may be writing gigabytes out of memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import LOCK, hold_alone
from node.serving.standing import ServeStanding

_LOOK_S = 0.2
_UNSEEN = 5
"""Looks after which a holder that is not seen is spoken of: it is in another container, or another user's."""


def held(folder: Path, say: Callable[[str], None]) -> int:
    """The lock of the daemon's folder, once the processes of one that was killed are gone.

    Args:
        folder: The daemon's.
        say: Told, once, for whom it waits.

    Raises:
        InputError: Another daemon lives and has it.
    """
    began, told, looks = time.time(), False, 0
    while True:
        looks += 1
        try:
            return hold_alone(folder, "`afml node serve`")
        except InputError as refused:
            who = holders(folder)
            if daemon := _living(folder, who, began):
                cure = (
                    f"leave it at that one, or stop it first: `kill {daemon}` lets its runs finish what they paid for"
                )
                raise InputError(f"{refused.problem} (process {daemon})", where=folder, cure=cure) from None
            if not told and (who or looks > _UNSEEN):
                say(_waits(folder, who))
                told = True
        time.sleep(_LOOK_S)


def _waits(folder: Path, who: list[int]) -> str:
    if not who:
        return f"waits until nobody works in {folder}, then goes on: somebody does who cannot be seen from here"
    numbers = " ".join(map(str, who))
    return (
        f"waits for what a daemon that was killed has left in {folder} (process {numbers}), then goes on; "
        f"what does not end by itself does so by `kill -9 {numbers}`"
    )


def holders(folder: Path) -> list[int]:
    """Processes that have the folder's lock open, ascending; those of others, or in other containers, are not seen."""
    lock, found = os.stat(folder / LOCK), list[int]()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()) and any(_is(handle, lock) for handle in _handles(process)):
            found.append(int(process.name))
    return sorted(found)


def _handles(process: Path) -> list[Path]:
    try:
        return list((process / "fd").iterdir())
    except OSError:  # gone meanwhile, or another user's
        return []


def _is(handle: Path, lock: os.stat_result) -> bool:
    try:
        return os.path.samestat(handle.stat(), lock)
    except OSError:
        return False


def _living(folder: Path, who: list[int], began: float) -> int | None:
    """The daemon that has the folder: it is seen, or has written since this one began to look; None where none has."""
    try:
        at = ServeStanding.found(folder)
    except InputError:
        return None
    return at.process if not at.ended and (at.process in who or at.written > began) else None
