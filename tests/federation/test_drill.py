"""The short form of `make drill`: every step of it, on two aggregators where PostgreSQL is installed, else on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.drill import machines
from benchmarks.drill.drill import Drill
from tests import postgres, warm

ROUNDS = 150  # quick ones: what is typed takes longer than a dozen


@pytest.fixture
def database() -> Iterator[str]:
    """Of two aggregators; "" for one with files."""
    try:
        with postgres.running() as server:
            yield server.database()
    except pytest.skip.Exception:
        yield ""


@pytest.mark.timeout(1800)
def test_everything_is_lost_and_renewed_in_the_middle_of_a_run(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LAUNCH", warm.Popen)
    told: list[str] = []
    Drill(tmp_path / "drill", ROUNDS, database, told.append).play()
    assert len(told) == 24, "\n".join(told)
    assert all(": nothing found; " in line and line.endswith("as by hand") for line in told[-4:]), told[-4:]
    assert "charged whole as " in told[-3], "the ledger that was put back"
