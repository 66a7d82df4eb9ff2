"""What ends an aggregator's watch over its run, and what does not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afml.consortium.orders import What
from aggregator import timekeeping
from aggregator.port import Stop
from aggregator.store.base import Lost
from aggregator.watchers import Watchers
from tests.aggregator.test_orders import Office


def test_a_full_disk_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an order nor a deadline that cannot be written down; both are done once there is space."""
    office = Office(tmp_path)
    machine, database = office.machine, office.machine.store._db  # type: ignore[attr-defined]
    machine.enrol()
    machine.ready(1, 2)
    monkeypatch.setattr(timekeeping, "TICK_S", 0.0)
    looks: list[tuple[str, int, int]] = []

    def look() -> None:
        looks.append(machine.at)
        if len(looks) == 1:
            machine.time += 11
            database.execute("PRAGMA query_only=1")  # which SQLite answers as a disk that takes nothing
        elif len(looks) == 3:
            database.execute("PRAGMA query_only=0")
        elif len(looks) == 5:
            number = 1 + max(machine.store.orders.all(), default=0)
            database.execute("PRAGMA query_only=1")
            with pytest.raises(OSError, match="readonly"):
                office.give(What.ABORT, number)
        elif len(looks) == 7:
            database.execute("PRAGMA query_only=0")

    publisher: Any = SimpleNamespace(resume=lambda: None, raise_failures=look, clear_uploads=lambda: None)
    asyncio.run(timekeeping.keep_time(office.run, machine.engine, publisher, Watchers(), office.orders))
    assert [stage for stage, _, _ in looks] == ["gathering"] * 3 + ["paused"] * 4
    assert (machine.at[0], office.written()) == ("failed", [What.ABORT])
    machine.store.close()


def test_a_store_that_is_lost_ends_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path)
    monkeypatch.setattr(timekeeping, "TICK_S", 0.0)

    def lost() -> None:
        raise Lost

    orders: Any = SimpleNamespace(follow=lost)
    publisher: Any = SimpleNamespace(resume=lambda: None, raise_failures=lambda: None, clear_uploads=lambda: None)
    with pytest.raises(Lost):
        asyncio.run(timekeeping.keep_time(office.run, office.machine.engine, publisher, Watchers(), orders))
    office.machine.store.close()


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("handlers")
def test_the_first_signal_asks_and_the_same_once_more_ends_at_once(name: signal.Signals) -> None:
    at_once = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    (other,) = at_once.keys() - {name}

    async def asked() -> None:
        stop = Stop()
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), name)
        await stop.or_end(asyncio.sleep(60))
        assert stop.asked
        assert signal.getsignal(name) == at_once[name]
        # A terminal's ^C reaches whoever started this process as well, who then sends the other one.
        os.kill(os.getpid(), other)
        while signal.getsignal(other) != at_once[other]:
            await asyncio.sleep(0)

    asyncio.run(asked())
