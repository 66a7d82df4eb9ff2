"""Statements out of files of a dossier: the value is read where the pointer points, so it cannot be another one."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from afml.dossier.standalone import RULES, pointed, tree_hash
from afml.dossier.statements import Derived, InFile, LedgerLeaf, Statement, Statements, TranscriptLine, Value


class Collector:
    """Adds statements, one method for each thing that a statement can stand on.

    Args:
        folder: The dossier, its evidence in place.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._said: dict[str, Statement] = {}
        self._files: dict[str, tuple[str, Any]] = {}

    def document(self, file: str) -> Any:
        """A JSON file of the dossier, parsed; None where there is none."""
        return self._load(file)[1] if (self.folder / file).is_file() else None

    def lines(self, file: str) -> list[bytes]:
        """Lines of a file of the dossier; none where there is none."""
        path = self.folder / file
        return path.read_bytes().splitlines() if path.is_file() else []

    def file(self, name: str, file: str, at: str, unit: str, words: str) -> None:
        """What stands in a JSON file; of "" the digest of the file. Nothing is said where it says nothing."""
        digest, document = self._load(file)
        value = digest if at == "" else pointed(document, at)
        self._say(Statement(name, value, unit, words, InFile(file, digest, at)))

    def leaf(self, name: str, ledger: str, place: tuple[int, str], unit: str, words: str) -> None:
        """What stands in an entry of a ledger; `place` is its index and a JSON pointer inside it."""
        index, at = place
        raw = self.lines(f"ledgers/{ledger}/entries.jsonl")[index]
        self._say(
            Statement(
                name, pointed(json.loads(raw), at), unit, words, LedgerLeaf(ledger, index, tree_hash(raw).hex(), at)
            )
        )

    def line(self, name: str, file: str, place: tuple[int, str], unit: str, words: str) -> None:
        """What stands in a line of a transcript; `place` is its number from 1 and a JSON pointer inside it."""
        number, at = place
        raw = self.lines(file)[number - 1]
        pointer = TranscriptLine(file, number, hashlib.sha256(raw).hexdigest(), at)
        self._say(Statement(name, pointed(json.loads(raw), at), unit, words, pointer))

    def derived(self, name: str, rule: str, of: tuple[str, ...], unit: str, words: str) -> None:
        """What follows from other statements, where all of these are there and say something."""
        values = [self._said[one].value if one in self._said else None for one in of]
        if of and all(value is not None for value in values):
            self._say(Statement(name, RULES[rule](*values), unit, words, Derived(rule, of)))

    def value(self, name: str) -> Value:
        """What was said under an id; None where nothing was."""
        return self._said[name].value if name in self._said else None

    def unit(self, name: str) -> str | None:
        """Of what was said under an id; None where nothing was."""
        return self._said[name].unit if name in self._said else None

    def statements(self) -> Statements:
        """All of them, in the order in which they were said."""
        return Statements(self._said.values())

    def _say(self, statement: Statement) -> None:
        assert statement.id not in self._said, statement.id
        self._said[statement.id] = statement

    def _load(self, file: str) -> tuple[str, Any]:
        if file not in self._files:
            data = (self.folder / file).read_bytes()
            parsed = json.loads(data) if file.endswith(".json") else None
            self._files[file] = hashlib.sha256(data).hexdigest(), parsed
        return self._files[file]


def slug(name: str) -> str:
    """A name as a part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def escaped(part: str) -> str:
    """A key as a part of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def has(document: Any, at: str) -> bool:
    """Whether a document says something at a JSON pointer."""
    try:
        pointed(document, at)
    except (LookupError, TypeError):
        return False
    return True
