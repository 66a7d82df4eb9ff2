"""Whatever is wrong with a table: one line with what, where and the cure, and nobody's value in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import ConfigError, InputError
from afml.data.rows import TableOptions
from afml.data.schema import Schema
from afml.data.source import open_source
from afml.data.table import TABLE

SCHEMA = """
person = "who"
targets = ["ill"]
[[columns]]
name = "age"
low = 0
high = 100
[[columns]]
name = "colour"
kind = "category"
categories = ["red", "green"]
[[columns]]
name = "ill"
kind = "binary"
"""
GOOD = "who,age,colour,ill\na,50,red,1\nb,60,green,0\n"


def build(folder: Path, table: Path, **options: str) -> None:
    (folder / "schema.toml").write_text(SCHEMA)
    (folder / "out").mkdir(exist_ok=True)
    given = TableOptions(table=table, schema_file=folder / "schema.toml", **options)
    TABLE.build(folder / "out", given, lambda _: None)


def complaint(folder: Path, content: str | bytes, name: str = "t.csv", **options: str) -> str:
    """The line that a table with this content is refused with."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        build(folder, path, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    assert "; " in line
    assert "4711" not in line, "no message holds a value"
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "table is empty"),
        ("\n\n", "table has no header"),
        ("who,age,colour,ill\n", "table has a header and no rows"),
        ("who,age,colour\na,4711,red\n", "has no column 'ill', which the schema declares; add it"),
        ("name,age\na,4711\n", "has no column 'who' (and 2 others), which the schema declares"),
        ("who;age;colour;ill\na;4711;red;1\n", "has one column when it is split at ','; say --delimiter"),
        ("who,age,age,colour,ill\na,4711,4711,red,1\n", "has two columns 'age'"),
        (GOOD + "c,4711,red\n", "a row has 3 cells where the header has 4"),
        (GOOD + "c,4711,red,1,4711\n", "a row has 5 cells where the header has 4"),
        (GOOD + "c,4711 years,red,1\n", "column 'age' holds something else than a number in 1 of 3 rows (the first is "
         "row 3); correct these cells"),
        (GOOD + "c,inf,red,1\nd,1e999,red,1\n", "column 'age' holds something else than a number in 2 of 4 rows"),
        (GOOD + "c,,red,1\n", "column 'age' is empty in 1 of 3 rows (the first is row 3)"),
        (GOOD + "c,NA,red,1\n", "column 'age' is empty"),
        (GOOD + "c,7,4711,1\n", "column 'colour' holds a category that the schema does not list in 1 of 3 rows"),
        (GOOD + "c,7,,1\n", "column 'colour' is empty"),
        (GOOD + "c,7,red,4711\n", "column 'ill' is neither 0 nor 1 in 1 of 3 rows (the first is row 3); code it"),
        (GOOD + "c,7,red,\n", "column 'ill' is empty"),
        (GOOD + ",7,red,1\n", "column 'who' names nobody in 1 of 3 rows (the first is row 3)"),
        (GOOD + '"c\t4711",7,red,1\n', "column 'who' names somebody with characters that cannot be printed"),
        (b"who,age,colour,ill\na,7,\xff,1\n", "is not text in UTF-8"),
        (GOOD.encode() + b"c,7,re\xff4711,1\n" * 100_000, "is not text in UTF-8"),
    ],
)  # fmt: skip
def test_one_line_for_each(tmp_path: Path, content: str | bytes, line: str) -> None:
    assert line in complaint(tmp_path, content)


def test_a_good_table_is_stored_whatever_its_line_ends_and_its_byte_order_mark(tmp_path: Path) -> None:
    for number, content in enumerate((GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD.rstrip())):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "t.csv").write_bytes(content.encode())
        build(folder, folder / "t.csv")
        np.testing.assert_array_equal(
            open_source(folder / "out").features, np.array([[0.5, 1, 0], [0.6, 0, 1]], np.float32)
        )


def test_the_delimiter_may_be_told(tmp_path: Path) -> None:
    for number, (told, used) in enumerate(((";", ";"), ("tab", "\t"), ("|", "|"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "t.txt").write_text(GOOD.replace(",", used))
        build(folder, folder / "t.txt", delimiter=told)
        assert len(open_source(folder / "out")) == 2
    assert "is no .csv, .tsv or .parquet; say --delimiter" in complaint(tmp_path, GOOD, "t.txt")
    assert "is Parquet and has no delimiter" in complaint(tmp_path, GOOD, "t.parquet", delimiter=";")
    with pytest.raises(InputError, match="--delimiter: is no delimiter; give one character, or the word tab"):
        build(tmp_path, tmp_path / "t.txt", delimiter=";;")


def test_parquet_is_refused_as_clearly(tmp_path: Path) -> None:
    assert "is not a whole Parquet file" in complaint(tmp_path, GOOD, "t.parquet")
    path = tmp_path / "t.parquet"
    for ages, line in (
        ([[4711], [1]], "column 'age' holds list<element: int64>, which is no plain cell"),
        (["4711 years", "1"], "column 'age' holds something else than a number in 1 of 2 rows"),
        ([float("inf"), 4711.0], "column 'age' holds something else than a number in 1 of 2 rows"),
    ):
        pq.write_table(pa.table({"who": ["a", "b"], "age": ages, "colour": ["red", "red"], "ill": [0, 1]}), path)
        assert line in complaint(tmp_path, path.read_bytes(), "t.parquet")
    cells = {"who": "a", "age": 1, "colour": "red", "ill": 1}
    pq.write_table(pa.table({name: [cell] * 9000 for name, cell in cells.items()}), path)
    data = bytearray(path.read_bytes())
    data[20:60] = bytes(40)
    assert "cannot be read after row 0" in complaint(tmp_path, bytes(data), "t.parquet")


def test_a_missing_table_and_a_schema_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="table does not exist"):
        build(tmp_path, tmp_path / "none.csv")
    (tmp_path / "other.toml").write_text('[images]\nwidth = 2\nheight = 2\nmode = "L"\n')
    given = TableOptions(table=tmp_path / "t.csv", schema_file=tmp_path / "other.toml")
    with pytest.raises(ConfigError, match="describes data of the kind images, not table; change --data"):
        TABLE.build(tmp_path / "out", given, lambda _: None)


@settings(deadline=None, max_examples=60)
@given(st.text(), st.sampled_from([".csv", ".tsv", ".parquet"]))
def test_whatever_a_file_holds_the_error_is_one_of_ours(content: str, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"t{suffix}").write_bytes(("who,age,colour,ill\n" + content).encode("utf-8", "replace"))
        try:
            build(folder, folder / f"t{suffix}")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 (either outcome is fine)


def test_the_schema_of_the_documentation_is_one() -> None:
    """docs/DATA.md shows a schema: it cannot rot."""
    text = (Path(__file__).parents[2] / "docs" / "DATA.md").read_text(encoding="utf-8")
    shown = [part.split("```")[0] for part in text.split("```toml\n")[1:]]
    schemas = [part for part in shown if "targets = " in part]
    assert len(schemas) == 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.toml"
        forms = []
        for part in schemas:
            path.write_text(part)
            forms.append(Schema.load(path).form)
    assert forms == ["table", "array", "images"]
