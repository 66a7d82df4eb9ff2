"""An institution has one ledger, whatever kits a coordinator makes it ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.consortium.nodekit import load_node_kit
from afml.core.errors import IntegrityError
from afml.trial.kits import make_kits
from node.guard import open_ledger
from node.workspace import Workspace
from tests.ledger.helpers import PEOPLE, config, spend


def test_a_renamed_consortium_and_another_kit_give_no_fresh_ledger(tmp_path: Path) -> None:
    """Whatever a coordinator provisions anew, the institution's people keep their spends."""
    make_kits(tmp_path / "kits", "test", 3)
    make_kits(tmp_path / "renamed", "renamed", 3, like=tmp_path / "kits")
    make_kits(tmp_path / "stranger", "test", 3)
    work = Workspace(tmp_path / "work")
    with open_ledger(work, load_node_kit(tmp_path / "kits" / "node-1")) as ledger:
        spend(ledger, config("run"), 1)
        before = ledger.accounts(PEOPLE)
    with open_ledger(work, load_node_kit(tmp_path / "renamed" / "node-1")) as ledger:
        assert ledger.accounts(PEOPLE) == before
    for kit in ("kits/node-2", "stranger/node-1"):
        with pytest.raises(IntegrityError, match=r"is the ledger of afml/[0-9a-f]{32}; use the kit"):
            open_ledger(work, load_node_kit(tmp_path / kit))
