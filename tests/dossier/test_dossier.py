"""A dossier is made, and says what its sources say."""

from __future__ import annotations

from pathlib import Path

from afml.dossier.verified import verified


def test_a_good_one_is_found_good(good: Path) -> None:
    found = verified(good)
    assert not found.findings
    assert len(found.stands) > 100
