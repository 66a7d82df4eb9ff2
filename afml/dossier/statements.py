"""What a dossier says, a number at a time, each with what it stands on.

`statements.json` is the list. An id is a dotted name that stays the same from dossier to dossier, so that forms,
pages and comparisons of several institutions' packs can ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from afml.core.config import canonical_json
from afml.core.errors import InputError

Value: TypeAlias = str | int | float | bool | None
"""A number, a text, or null where nothing bounds it."""


@dataclass(frozen=True)
class LedgerLeaf:
    """A value inside an entry of a ledger.

    Attributes:
        ledger: Name of the ledger, the 32 hex digits after "afml/".
        index: Of the entry.
        leaf: Its RFC 6962 leaf hash, hex.
        at: JSON pointer (RFC 6901) inside the entry; "" is all of it.
    """

    ledger: str
    index: int
    leaf: str
    at: str = ""


@dataclass(frozen=True)
class TranscriptLine:
    """A value inside a line of the aggregator's transcript.

    Attributes:
        file: Path in the dossier.
        line: From 1.
        sha256: Of the line without its newline, hex.
        at: JSON pointer inside it.
    """

    file: str
    line: int
    sha256: str
    at: str = ""


@dataclass(frozen=True)
class InFile:
    """A value inside a file of the dossier.

    Attributes:
        file: Path in the dossier.
        sha256: Of the file, hex.
        at: JSON pointer inside it; "" is the file itself, whose value is its digest.
    """

    file: str
    sha256: str
    at: str = ""


@dataclass(frozen=True)
class Derived:
    """What follows from other statements.

    Attributes:
        rule: One of `RULES` of the verifier that the dossier carries.
        of: Ids of the statements that it is computed from, in the rule's order.
    """

    rule: str
    of: tuple[str, ...]


Pointer: TypeAlias = LedgerLeaf | TranscriptLine | InFile | Derived
_KINDS: dict[str, type[Pointer]] = {
    "ledger": LedgerLeaf, "transcript": TranscriptLine, "file": InFile, "derived": Derived,
}  # fmt: skip
_NAMES = {kind: name for name, kind in _KINDS.items()}


def kind_of(pointer: Pointer) -> str:
    """What a pointer is called in JSON."""
    return _NAMES[type(pointer)]


@dataclass(frozen=True)
class Statement:
    """One thing that a dossier says.

    Attributes:
        id: Its dotted name.
        value: What is said.
        unit: "sigma", "share", "people", ...; "" of texts and counts without one.
        words: The same for people, one line, without its value.
        pointer: What it stands on.
    """

    id: str
    value: Value
    unit: str
    words: str
    pointer: Pointer

    def to_json(self) -> dict[str, Any]:
        """A line of `statements.json`."""
        of = {name: list(part) if isinstance(part, tuple) else part for name, part in asdict(self.pointer).items()}
        return {
            "id": self.id, "value": self.value, "unit": self.unit, "words": self.words,
            "pointer": {"kind": kind_of(self.pointer), **of},
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: object) -> Statement:
        """The inverse of `to_json`.

        Raises:
            InputError: It is no statement.
        """
        try:
            assert isinstance(value, dict)
            fields = dict(value)
            pointer = dict(fields.pop("pointer"))
            kind = _KINDS[pointer.pop("kind")]
            if "of" in pointer:
                pointer["of"] = tuple(map(str, pointer["of"]))
            return cls(pointer=kind(**pointer), **fields)
        except (AssertionError, KeyError, TypeError, ValueError):
            cure = "have the dossier made again with `afml audit dossier`"
            raise InputError("holds something that is no statement", where="statements.json", cure=cure) from None


class Statements(Mapping[str, Statement]):
    """All that a dossier says, by id, in the order in which it says it.

    Args:
        of: The statements.

    Raises:
        InputError: Two have one id.
    """

    def __init__(self, of: Iterable[Statement]) -> None:
        self._by_id: dict[str, Statement] = {}
        for one in of:
            if one.id in self._by_id:
                raise InputError(f"says {one.id} twice", where="statements.json")
            self._by_id[one.id] = one

    def __getitem__(self, name: str) -> Statement:
        return self._by_id[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def value(self, name: str) -> Value:
        """What is said under an id; None also where nothing is."""
        return self._by_id[name].value if name in self._by_id else None

    def under(self, prefix: str) -> list[Statement]:
        """All whose id begins with `prefix` and a dot."""
        return [one for name, one in self._by_id.items() if name.startswith(f"{prefix}.")]

    def to_bytes(self) -> bytes:
        """statements.json: one statement a line, so that two dossiers can be compared by eye."""
        return b"[\n" + b",\n".join(canonical_json(one.to_json()) for one in self._by_id.values()) + b"\n]\n"
