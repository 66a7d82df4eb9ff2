"""Several processes and threads at one ledger: one chain, one person key, and each opens it at one moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from afml.consortium.attempt import Attempt
from afml.ledger import people
from afml.ledger.connection import Connection
from afml.ledger.entries import spend_for
from afml.ledger.log import Log
from afml.ledger.store import Ledger
from tests.ledger.helpers import PEOPLE, Clock, config, limits, open_ledger, reserve, spend


def test_two_handles_and_many_threads_make_one_chain(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path, clock=clock) as first, open_ledger(tmp_path, clock=clock) as second:
        run = config(rounds=40, z=50.0)
        reserve(first, run)
        handles = [first, second, first, second]

        def work(which: int) -> None:
            for round in range(1 + which, 41, 4):
                handles[which].append(spend_for(run, Attempt(round, 1), [1, 2, 3]), PEOPLE, limits(run))

        threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(first.spends(run.run, range(1, 41))) == [Attempt(round, 1) for round in range(1, 41)]
    with open_ledger(tmp_path) as ledger:
        assert len(ledger) == 41


def test_of_two_processes_that_begin_a_ledger_both_have_its_one_person_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each would commit to the same people by another name, and neither would see what the other spends."""
    write, others = people.write_secret, list[Ledger]()

    def meanwhile(path: Path, key: bytes) -> None:
        monkeypatch.setattr(people, "write_secret", write)
        other = threading.Thread(target=lambda: others.append(open_ledger(tmp_path)))
        other.start()
        other.join(1.0)  # it waits, or has made a key of its own
        write(path, key)
        later.append(other)

    later: list[threading.Thread] = []
    monkeypatch.setattr(people, "write_secret", meanwhile)
    with open_ledger(tmp_path) as first:
        later[0].join()
        with others[0] as second:
            assert first._people._key == second._people._key == people.load_key(tmp_path, create=False)


def test_a_ledger_that_is_written_to_is_opened_at_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entries of before and the head of after would look like entries that were removed."""
    with open_ledger(tmp_path) as writing:
        run, read = config(rounds=5, z=50.0), Log.checkpoint
        reserve(writing, run)

        def meanwhile(log: Log) -> str:
            if log is not writing and not writing.database.in_transaction:
                monkeypatch.setattr(Log, "checkpoint", read)
                spend(writing, run, 1)
            return read(log)

        monkeypatch.setattr(Log, "checkpoint", meanwhile)
        with open_ledger(tmp_path) as opened:
            assert len(opened) == len(writing) == 2
            spend(opened, run, 2)


def test_threads_that_ask_the_same_of_one_connection_have_their_own_rows(tmp_path: Path) -> None:
    database = Connection(tmp_path / "any.db", timeout=1)
    database.execute("CREATE TABLE rows (row)")
    database.executemany("INSERT INTO rows VALUES (?)", ((row,) for row in range(3)))
    select, expected = "SELECT row FROM rows", [(0,), (1,), (2,)]
    finished, next_one = database.execute(select), iter(database.execute(select))
    assert [finished.fetchone() for _ in range(3)] == expected
    assert next(next_one) == (0,)
    assert finished.fetchmany(5) == []
    assert next_one.fetchall() == expected[1:]

    def read(_: int) -> list[tuple[int]]:
        return list(database.execute(select))

    with ThreadPoolExecutor(8) as readers:
        assert list(readers.map(read, range(2000))) == [expected] * 2000
    database.close()
