from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.case import Case
from tests.ledger.helpers import (
    Clock,
    config,
    open_ledger,
    publish,
    spend,
)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    clock = Clock()
    built = Case(tmp_path / "ledger", tmp_path / "transcript.jsonl", [], [], clock)
    with open_ledger(built.folder, clock=clock) as ledger:
        for name in ("run-1", "run-2"):
            run = config(name)
            receipts = [spend(ledger, run, round) for round in (1, 2, 3)]
            publish(built.transcript, run, receipts, clock)
            built.runs.append(run)
            built.receipts.append(receipts)
    return built
