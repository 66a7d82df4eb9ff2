"""Words that belong to one room: the phases of the masking task are named there, everybody else imports the names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from afml.masking.settings import GAME, RISK

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [
    path
    for package in ("afml", "node", "aggregator", "crypto")
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.is_relative_to(ROOT / "afml" / "masking")
]


def quoted(path: Path, words: set[str]) -> list[str]:
    """Where a file has one of the words as a whole string."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in words
    ]


def test_phases_are_named_by_the_constants_of_the_masking_task() -> None:
    assert len(PRODUCT) > 100
    assert [place for path in PRODUCT for place in quoted(path, {RISK, GAME})] == []


@pytest.mark.parametrize("word", [RISK, GAME])
def test_the_search_finds_what_it_looks_for(word: str) -> None:
    settings = ROOT / "afml" / "masking" / "settings.py"
    assert len(quoted(settings, {word})) == 1
