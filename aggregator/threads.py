"""Work that would keep everybody waiting is done in a thread, and waited for whatever becomes of who asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


async def in_thread(work: Callable[Given, Answer], /, *given: Given.args, **named: Given.kwargs) -> Answer:
    """Do it in a thread. Who gives up does not end the thread, which may still write: it is waited for then too.

    Raises:
        Exception: Whatever the work raises.
    """
    task = asyncio.create_task(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
