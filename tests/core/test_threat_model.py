"""Every test that the threat model calls as a witness exists, and every adversary has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "THREAT_MODEL.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_adversary_says_what_stops_it_what_does_not_and_who_shows_it() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    adversaries = [section for section in sections if section[0].isdigit()]
    assert len(adversaries) == 12
    for section in adversaries:
        title = section.splitlines()[0]
        assert re.search(r"\*\*Shown by\*\* `tests/", section), title
        assert re.search(r"not stopped", section, flags=re.IGNORECASE), title
    assert sections[-1].startswith("What is not protected")


def test_no_test_is_named_in_another_form() -> None:
    assert len(re.findall(r"tests/[\w/]+\.py::", TEXT)) == len(re.findall(r"`tests/[\w/]+\.py::\w+`", TEXT))
