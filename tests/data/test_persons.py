"""Maps of people: several names of one person, in tables as well; and what tells a record again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.data.marks import alike, row_marks
from afml.data.persons import Who, columns_of, read_names, read_people_map
from afml.data.source import open_source
from afml.data.table import TABLE, TableOptions

SCHEMA = """
person = "who"
targets = ["y"]
columns = [{name = "x", centre = 0.0, spread = 1.0}, {name = "y", kind = "binary"}]
"""


def build(root: Path, rows: list[tuple[str, float]], people: str | None = None, without: Path | None = None) -> Path:
    """A table's feature source."""
    (root / "schema.toml").write_text(SCHEMA)
    (root / "t.csv").write_text("who,x,y\n" + "".join(f"{who},{x},1\n" for who, x in rows))
    if people is not None:
        (root / "people.tsv").write_text("sample\tperson\n" + people)
    out = root / f"built-{len(list(root.iterdir()))}"
    out.mkdir()
    options = TableOptions(
        table=root / "t.csv",
        schema_file=root / "schema.toml",
        people=root / "people.tsv" if people else None,
        without=without,
    )
    TABLE.build(out, options, lambda text: None)
    return out


def test_rows_of_one_person_under_two_names_are_one_persons(tmp_path: Path) -> None:
    rows = [("ann", 0.1), ("bob", 0.2), ("ann2", 0.3)]
    out = build(tmp_path, rows, "ann2\tann\n")
    assert open_source(out).owner.tolist() == [0, 1, 0]
    assert len(row_marks(out)) == 2


def test_marks_follow_the_rows_and_not_the_names_or_their_order(tmp_path: Path) -> None:
    first = build(tmp_path, [("a", 0.1), ("b", 0.2), ("a", 0.3)])
    renamed = build(tmp_path, [("c", 0.2), ("d", 0.3), ("d", 0.1)])
    assert set(row_marks(first)) == set(row_marks(renamed))
    changed = build(tmp_path, [("c", 0.2), ("d", 0.3), ("d", 0.15)])
    assert len(set(row_marks(first)) & set(row_marks(changed))) == 1


def test_where_people_have_equal_rows_there_are_no_marks(tmp_path: Path) -> None:
    out = build(tmp_path, [(f"p{i}", float(i % 2)) for i in range(20)])
    assert alike(out) == 20
    assert row_marks(out) == [()] * 20
    told = "20 of 20 people have exactly the rows of somebody else"
    assert TABLE.remarks(out)[0] == (
        f"{told}: who comes back under another name will not be recognised, so keep everybody's name"
    )
    out = build(tmp_path, [(f"p{i}", max(2, i) / 500) for i in range(500)])  # three alike, the others are told apart
    assert row_marks(out) != [()] * 500
    assert TABLE.remarks(out)[0] == told.replace("20 of 20", "3 of 500")


names = st.text("abc", min_size=1, max_size=2)


@given(st.dictionaries(names, names), st.lists(names, unique=True))
def test_a_map_survives_being_written(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, str], samples: list[str]
) -> None:
    path = tmp_path_factory.mktemp("map") / "people.tsv"
    path.write_text("sample\tperson\n" + "".join(f"{a}\t{b}\n" for a, b in found.items()))
    assert read_people_map(path) == found
    columns = columns_of(samples, found)
    assert sorted(place for places in columns.values() for place in places) == list(range(len(samples)))
    for person, places in columns.items():
        assert all(found.get(samples[place], samples[place]) == person for place in places)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "first line is not"),
        ("name\tperson\n", "first line is not"),
        ("sample\tperson\nsecret\n", "line 2 does not name"),
        ("sample\tperson\nsecret\t\n", "line 2 does not name"),
        ("sample\tperson\nsecret\ta\n\nsecret\tb\n", "line 4 repeats a sample"),
    ],
)
def test_a_bad_map_is_refused_without_a_name(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "people.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as refused:
        read_people_map(path)
    assert "secret" not in str(refused.value)
    assert np.char.count(str(refused.value), "\n") == 0


def test_who_is_left_out_leaves_nothing(tmp_path: Path) -> None:
    """By any of a person's names; which lines were of use is counted."""
    rows = [("ann", 0.1), ("bob", 0.2), ("ann2", 0.3), ("cy", 0.4)]
    gone = tmp_path / "gone.txt"
    gone.write_text("ann2\n\nnobody\n")
    out = build(tmp_path, rows, "ann2\tann\ndee\tcy\n", gone)
    source = open_source(out)
    assert source.owner.tolist() == [0, 1]
    assert source.features[:, 0].tolist() == pytest.approx([0.2, 0.4])
    assert TABLE.remarks(out) == (
        "1 of 2 lines of --people name somebody in the data",
        "1 of 2 lines of --without name somebody in the data",
        "target 'y' is the same in every row: look at how it is coded",
    )
    gone.write_text("ann\nbob\ncy\n")
    with pytest.raises(InputError, match="nobody is left"):
        build(tmp_path, rows, "ann2\tann\n", gone)


@given(
    people=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdexyz"), max_size=5),
    gone=st.sets(st.sampled_from("abcdefxyz"), max_size=3),
    names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8),
)
def test_a_person_is_left_out_by_any_of_its_names(people: dict[str, str], gone: set[str], names: list[str]) -> None:
    """Against the slow rule: a person goes if the person, or any name that stands for the person, is listed."""
    who = Who(people, frozenset(gone), mapped=True, leaves_out=True)
    for name in names:
        person = people.get(name, name)
        listed = person in gone or any(people.get(other, other) == person for other in gone) or name in gone
        assert who.person(name) == (None if listed else person)
    met = {*names, *(people.get(name, name) for name in names)}
    assert who.matched.without == sum(one in met for one in gone)


@pytest.mark.parametrize("text", [b"ann\nb\x07b\n", b"\xff\n"])
def test_a_list_of_names_says_which_line_is_wrong(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"line 2 is not the name of a person|is not text"):
        read_names(path)
