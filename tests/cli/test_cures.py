"""Every `afml VERB --option` that the product's messages and documentation strings name is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from afml.cli.main import cli

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for room in ("afml", "node", "aggregator", "crypto") for path in (ROOT / room).rglob("*.py"))
QUOTED = re.compile(r"[`'](afml [a-z][^`']*)[`']")
"""A command in quotes: all of it is checked, options too."""
LOOSE = re.compile(r"\b(?:run|see|use|with|by|start) (afml [a-z-]+(?: [a-z-]+)?)")
"""A command in running text: its verb is checked, and the next word where the verb has subcommands."""


def literals(source: str) -> Iterator[str]:
    """String literals; of an f-string its constant parts, with a blank for what is filled in."""
    tree = ast.parse(source)
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            yield "".join(str(part) for part in parts)


def commands(text: str) -> Iterator[str]:
    """What `text` tells its reader to type."""
    yield from (" ".join(found.split()) for found in QUOTED.findall(text))
    yield from (" ".join(found.split()) for found in LOOSE.findall(text))


def problem(command: str) -> str:
    """Why a reader could not type `command`; empty where it is right."""
    at: click.Command = cli
    words = command.split()[1:]
    while words and isinstance(at, click.Group):
        found = at.get_command(click.Context(at), words[0])
        if found is None:
            return f"`{command}`: there is no {words[0]!r}"
        at, words = found, words[1:]
    if words and (further := getattr(at, "further", {}).get(words[0])):
        at, words = further, words[1:]
    known = {name for option in at.get_params(click.Context(at)) for name in (*option.opts, *option.secondary_opts)}
    for word in words:
        option = word.split("=")[0]
        if option.startswith("-") and option not in known:
            return f"`{command}`: there is no {option}"
    return ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_named_exist(path: Path) -> None:
    named = [command for text in literals(path.read_text(encoding="utf-8")) for command in commands(text)]
    assert [wrong for command in named if (wrong := problem(command))] == []


PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [one for one in PAGES if "reference" not in one.parts]  # made from the code by `make docs`
#: Pages that show what is wrong, or what a reader is yet to write.
ABOUT_OTHERS = {"MISTAKES.md", "EXTENDING.md"}
TYPED = re.compile(r"`(afml [a-z][^`]*)`|^\s*(afml [a-z].*)$", re.M)


@pytest.mark.parametrize("page", [one for one in PAGES if one.name not in ABOUT_OTHERS], ids=lambda one: one.name)
def test_commands_of_the_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    typed = [next(filter(None, found)) for found in TYPED.findall(text)]
    bare = [" ".join(re.split(r" #| && | \| | > |;", one)[0].split()) for one in typed if "`" not in one]
    assert [wrong for command in bare if (wrong := problem(command))] == []


def test_the_search_finds_what_is_wrong() -> None:
    assert list(commands("ask for one (`afml consortium found --renew`)")) == ["afml consortium found --renew"]
    assert list(commands("do not train; run afml audit verify")) == ["afml audit verify"]
    assert list(literals('f"run `afml mask --kit {kit}`"')) == ["run `afml mask --kit X`"]
    assert problem("afml keys renew") == problem("afml audit verify --roster X") == problem("afml plan") == ""
    assert problem("afml audit attack --simulated") == ""
    assert problem("afml node serve --every X") == problem("afml node leave --run X") == ""
    assert "no --run" in problem("afml node serve --run X")
    assert "no --renew" in problem("afml consortium found --renew")
    assert "no 'renew'" in problem("afml renew")
    assert "no 'check'" in problem("afml audit check")


def test_it_is_looked_for_where_commands_are_named() -> None:
    """A cure that is written in a way the search cannot see would pass: at least these are seen."""
    seen = {
        command.split()[1]
        for path in SOURCES
        for text in literals(path.read_text(encoding="utf-8"))
        for command in commands(text)
    }
    assert {"keys", "consortium", "prepare", "mask", "aggregator", "configure", "audit"} <= seen
