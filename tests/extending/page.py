"""docs/EXTENDING.md as what it says to do: for each section one new file, one line of a table, and commands."""

from __future__ import annotations

import importlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "EXTENDING.md"
TASK = "Task"

_SECTION = re.compile(r"^## (.+)$", re.M)
_BLOCK = re.compile(r"^```(\w+) ([^\n]+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Addition:
    """A section.

    Attributes:
        title: Its heading.
        path: Of the new file, below the repository or in a package of its own.
        source: What is in it.
        table: File that the line goes to.
        registry: Name of the table there; empty where the file is no Python.
        line: The line.
        use: How it is then used.
        suite: Arguments of pytest, where a suite runs over the table.
    """

    title: str
    path: str
    source: str
    table: str
    registry: str
    line: str
    use: str
    suite: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the new thing is called in its table."""
        return self.line.replace("=", ":").split(":")[0].strip(' "')

    def write(self, folder: Path) -> Path:
        """Put the new file where its package would have it, below `folder`; returns its own folder."""
        file = folder / self.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.source, encoding="utf-8")
        return file.parent

    def entry(self) -> tuple[Any, str, Any]:
        """(mapping behind the table, name, value) of the line."""
        module = importlib.import_module(self.table.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        table = getattr(module, self.registry)
        ((name, value),) = eval(f"{{{self.line}}}", vars(module)).items()
        return getattr(table, "_entries", table), name, value

    def package(self) -> Any:
        """The package that the new file belongs to, imported."""
        return importlib.import_module(self.path.rpartition("/")[0].replace("/", "."))


def _only(blocks: dict[str, list[tuple[str, str]]], kind: str) -> tuple[str, str]:
    found = blocks.get(kind, [])
    assert len(found) == 1, f"{kind}: {len(found)} blocks"
    return found[0]


def _addition(title: str, text: str) -> Addition:
    blocks: dict[str, list[tuple[str, str]]] = {}
    for _, info, body in _BLOCK.findall(text):
        kind, _, rest = info.partition("=")
        blocks.setdefault(kind, []).append((rest, body))
    path, source = _only(blocks, "title")
    where, line = _only(blocks, "line")
    assert line.count("\n") == 1, f"{title}: more than one line"
    table, _, registry = where.partition(" table=")
    suites = [tuple(shlex.split(body)[3:]) for _, body in blocks.get("suite", [])]
    use = "".join(body for _, body in blocks.get("use", []))
    return Addition(title, path, source, table, registry, line.strip(), use, suites[0] if suites else ())


def additions() -> dict[str, Addition]:
    """Heading -> section."""
    _, *parts = _SECTION.split(PAGE.read_text(encoding="utf-8"))
    return {title: _addition(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def add_for_good(title: str, folder: Path) -> None:
    """Make a section's file and line part of this process; the file is below `folder` already."""
    new = additions()[title]
    new.package().__path__.append(str(folder / Path(new.path).parent))
    mapping, name, value = new.entry()
    mapping[name] = value
