"""Who reads a prepared work folder, and who replaces what is in it: never both at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from afml.core.files import LOCK, hold_alone, hold_together
from node.workspace import Workspace


@contextlib.contextmanager
def in_use(*works: Workspace) -> Iterator[None]:
    """Keep what is prepared in these folders as it is while it is read: stores are read piece by piece.

    Raises:
        InputError: A folder is not prepared, or is being prepared.
    """
    with contextlib.ExitStack() as held:
        for work in works:
            work.require_prepared()
            held.callback(os.close, hold_together(work.root, "`afml prepare` works in this folder"))
        yield


@contextlib.contextmanager
def alone(work: Workspace) -> Iterator[None]:
    """Keep everybody else from what is prepared in a folder while it is replaced.

    Raises:
        InputError: Somebody reads it, or replaces it too.
    """
    handle = hold_alone(work.root, "command (`afml node`, for one)")
    try:
        yield
    finally:
        (work.root / LOCK).unlink(missing_ok=True)  # nobody else can hold it now
        os.close(handle)
