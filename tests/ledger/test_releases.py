"""Releases against earlier ones about the same people."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.core.errors import BudgetError, ReleaseError
from afml.ledger.releases import ReleaseRecord
from tests.ledger.helpers import open_ledger


def release(digest: str = "aa", k: int = 2) -> ReleaseRecord:
    return ReleaseRecord(run="run-1", file_digest=digest * 32, model_digest="bb" * 32, min_group_size=k)


def test_releases_intersect(tmp_path: Path) -> None:
    people = list("abcdefgh")
    halves = {p: "low" if p in "abcd" else "high" for p in people}
    with open_ledger(tmp_path) as ledger:
        ledger.record_release(release(k=4), halves)
        ledger.record_release(release("cc", k=4), halves)  # the same partition tells nothing new
        across = {p: "left" if p in "abef" else "right" for p in people}
        with pytest.raises(ReleaseError, match=r"smallest group together with 2 earlier releases .* has 2 people"):
            ledger.record_release(release("dd", k=3), across)
        index = ledger.record_release(release("dd", k=2), across)
        body = list(ledger.entries())[index].body
        assert body["smallest_joint_group"] == 2
        assert body["earlier"] == [0, 1]
        # Somebody who was in no earlier file stands out from those who were.
        with pytest.raises(ReleaseError, match="has 1 people"):
            ledger.record_release(release("ee", k=2), {**halves, "new": "low"})
        # Other people: nothing to intersect.
        ledger.record_release(release("ff", k=2), {"x": "p", "y": "p"})


def test_a_release_leaves_withdrawn_people_out(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        ledger.withdraw("a")
        with pytest.raises(BudgetError, match="withdrawn"):
            ledger.record_release(release(), {"a": "p", "b": "p"})
