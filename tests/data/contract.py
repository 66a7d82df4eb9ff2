"""What every kind of data must do; a kind's own test calls it with a few people's data."""

from __future__ import annotations

from pathlib import Path

from afml.core.config import Settings
from afml.data.kind import DATA_KINDS, Built


def keeps_the_contract(name: str, options: Settings, folder: Path) -> Built:
    """Check a kind of data.

    Args:
        name: Of the kind, in `DATA_KINDS`.
        options: Of that kind: the data of a few people.
        folder: An empty one.

    Returns:
        What it built.
    """
    kind = DATA_KINDS.get(name)
    assert isinstance(options, kind.options)
    assert kind.unit
    told: list[str] = []
    places = folder / "first", folder / "second"
    first, second = (_build(name, options, place, told) for place in places)
    assert told, "somebody waits: say what is happening"
    assert first.data == second.data
    assert first.data.kind == name
    assert first.samples == second.samples
    assert len(set(first.samples)) == len(first.samples) == len(first.columns.values) > 0
    assert first.columns.values.shape[1] == len(first.columns.names)
    assert {path.name for path in places[0].iterdir()} <= {"public", "private"}
    assert _public(places[0]) == _public(places[1]), "public data are the same wherever they are made"
    for line in kind.remarks(places[0]):
        assert "\n" not in line
        assert not [person for person in first.samples if person in line.split()]
    marks = [list(kind.marks(place)) for place in places]
    assert marks[0] == marks[1], "a record is known again"
    assert len(marks[0]) == len(first.samples)
    return first


def _build(name: str, options: Settings, out: Path, told: list[str]) -> Built:
    out.mkdir(parents=True)
    return DATA_KINDS.get(name).build(out, options, told.append)


def _public(folder: Path) -> dict[str, bytes]:
    files = (path for path in (folder / "public").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
