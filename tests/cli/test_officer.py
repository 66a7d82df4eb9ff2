"""docs/AUDIT.md, followed from an empty folder to the proof: its commands as they stand, what it says they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import REPOSITORY
from tests.terminal import Terminal

PAGE = REPOSITORY / "docs" / "AUDIT.md"
FOR_OFFICERS = REPOSITORY / "docs" / "for" / "privacy-officer.md"
_CODE = re.compile(r"`([^`]+)`")
_WALK = re.compile(r"^## From an empty folder to proof\n(.*?)^## ", re.M | re.S)
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
_FIGURE = re.compile(r"these people have spent\s+(0\.\d+ of 0\.\d+ sigma)")


def walk() -> str:
    found = _WALK.search(PAGE.read_text(encoding="utf-8"))
    assert found
    return found[1]


@pytest.fixture
def officer(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "empty")
    made.folder.mkdir()
    yield made
    made.stop()


def test_an_officer_gets_from_an_empty_folder_to_the_figure_and_its_proof(officer: Terminal) -> None:
    officer.follow(walk())
    promised = _FIGURE.search(PAGE.read_text(encoding="utf-8"))
    assert promised
    for name in ("ledger.html", "ledger.json"):
        assert (officer.folder / "proof" / name).is_file()
    proof = (officer.folder / "proof" / "ledger.html").read_text()
    assert re.search(rf"\d+ people have spent {re.escape(promised[1])} at most", proof)
    assert "nothing found" in proof
    assert "not checked" not in proof
    assert "SIM0" not in proof


def test_the_walk_types_what_the_officers_page_says() -> None:
    """Every command of an officer's hour with all its options, those that are given any in the page's order."""
    hour = FOR_OFFICERS.read_text(encoding="utf-8").split("\n## In an hour\n")[1].split("\n[AUDIT.md]")[0]
    asked = [one for one in _CODE.findall(hour) if one.startswith(("afml ", "python "))]
    typed = [line.split() for kind, body in _BLOCK.findall(walk()) if kind == "sh" for line in body.splitlines()]
    order = []
    for command in asked:
        verb = re.match(r"afml( [a-z]+)+(?= |$)|python [a-z./]+", command)
        assert verb, command
        said, options = verb[0].removesuffix(" work").split(), set(re.findall(r"--[a-z-]+", command))
        lines = [n for n, words in enumerate(typed) if words[: len(said)] == said and options <= set(words)]
        assert lines, f"the walk never types: {command}"
        if options and said != ["afml", "policy", "check"]:  # which is for whoever changes the policy, at any time
            order.append(lines[0])
    assert len(order) > 6
    assert order == sorted(order)


def test_every_figure_of_the_walk_is_the_one_that_its_commands_print() -> None:
    text = walk()
    printed = "".join(body for kind, body in _BLOCK.findall(text) if kind == "text")
    prose = _BLOCK.sub("", text)
    for figure in re.findall(r"\b0\.\d{3}\b", prose):
        assert figure in printed, figure
