"""What takes time is done beside what is served: copies for another machine, and closing what nobody needs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.kit import load_aggregator_kit
from afml.trial.kits import make_kits
from aggregator.office import Office, Place, _Opened
from aggregator.run import Folder, ServedRun
from aggregator.store.base import InPlace
from aggregator.store.queue import SqliteQueue
from tests.aggregator.machine import Machine


def test_a_far_database_keeps_nobody_waiting_for_its_copies(tmp_path: Path) -> None:
    """What is copied in a thread ends only once the loop has gone on meanwhile; who gives up waits for it."""
    began, go, done = threading.Event(), threading.Event(), list[str]()

    class Slow(InPlace):
        def keep(self, name: str, path: Path) -> None:
            began.set()
            if go.wait(120):
                done.append(name)

        bring = keep

    machine = Machine(tmp_path)
    with contextlib.closing(machine.store) as store:
        store.files, store.term = Slow(), 1  # type: ignore[misc]
        scheme: Any = None
        run = ServedRun(machine.config, machine.roster, scheme, store, Folder(tmp_path))

        async def scene() -> None:
            for work in (run.keep_whole, run.bring_whole):
                began.clear()
                go.clear()
                copying = asyncio.create_task(work(tmp_path / "sums" / "one"))
                await asyncio.to_thread(began.wait, 120)
                copying.cancel()
                await asyncio.sleep(0)
                assert not copying.done(), "the thread still writes"
                go.set()
                with pytest.raises(asyncio.CancelledError):
                    await copying

        asyncio.run(scene())
    assert done == ["sums/one"] * 2


def test_desks_that_nobody_needs_are_closed_together(tmp_path: Path) -> None:
    """Each lets its nodes read the last state for half a second: a hundred of them take no longer than one."""

    class Closing:
        def __init__(self, together: asyncio.Barrier) -> None:
            self.together, self.closed = together, False

        async def leave(self) -> None:
            await self.together.wait()

        async def drop(self) -> None:
            """Nobody follows it."""

        stop = drop

        def close(self) -> None:
            self.closed = True

    no_sums: Any = None

    async def scene() -> None:
        make_kits(tmp_path / "kits", "test", 2)
        own, together = load_aggregator_kit(tmp_path / "kits" / "aggregator"), asyncio.Barrier(12)
        with contextlib.closing(SqliteQueue(str(tmp_path / "queue.sqlite"))) as queue:
            made = Office(own, Place(tmp_path, "", "here:1", 1), queue, no_sums)
            desks: list[Any] = [Closing(together) for _ in range(20)]
            made._opened = {number: _Opened(one, one) for number, one in enumerate(desks)}
            async with asyncio.timeout(120):
                await made._close_least_wanted()
            assert [one.closed for one in desks] == [True] * 12 + [False] * 8

    asyncio.run(scene())
