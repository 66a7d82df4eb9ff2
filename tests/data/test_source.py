"""Feature sources: rows of people, growing files, and what is refused when one is opened."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import InputError, IntegrityError
from afml.data.schema import ArrayForm, Schema, SchemaColumn
from afml.data.source import FeatureSource, SourceWriter, open_source

SCHEMA = Schema(
    array=ArrayForm(shape=(2, 3), low=0, high=1), columns=(SchemaColumn(name="y", kind="binary"),), targets=("y",)
)


def write(folder: Path, people: list[str], parts: int = 1, schema: Schema = SCHEMA) -> FeatureSource:
    rng = np.random.default_rng(1)
    features = rng.random((len(people), *schema.shape)).astype(np.float32)
    targets = rng.integers(0, 2, (len(people), len(schema.targets))).astype(np.float32)
    with SourceWriter(folder, schema) as writer:
        for part in np.array_split(np.arange(len(people)), parts):
            writer.append([people[row] for row in part], features[part], targets[part])
            assert writer.rows == part[-1] + 1 if len(part) else True
    source = open_source(folder)
    np.testing.assert_array_equal(source.features, features)
    np.testing.assert_array_equal(source.targets, targets)
    return source


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30), st.data())
def test_rows_of_people_equal_a_search(people: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write(Path(folder), people, parts=3)
    order = list(dict.fromkeys(people))
    asked = np.array(data.draw(st.lists(st.integers(0, len(order) - 1), max_size=8)), dtype=np.int64)
    slow = [row for person in asked for row in range(len(people)) if people[row] == order[person]]
    assert source.rows_of(asked).tolist() == slow
    assert source.rows_of(asked).dtype == np.int64
    assert source.row_counts.tolist() == [people.count(name) for name in order]
    owners = np.repeat(np.arange(len(asked)), source.row_counts[asked])
    assert [order[asked[place]] for place in owners] == [people[row] for row in slow]


def test_features_stay_on_disk(tmp_path: Path) -> None:
    source = write(tmp_path, ["a", "b", "a"])
    assert isinstance(source.features, np.memmap)
    assert source.features.dtype == source.targets.dtype == np.float32
    assert repr(source) == "FeatureSource(2 people, 3 rows of (2, 3))"


def test_the_digest_is_of_everything(tmp_path: Path) -> None:
    def digest(name: str, people: list[str], parts: int = 1, schema: Schema = SCHEMA) -> str:
        (tmp_path / name).mkdir()
        return write(tmp_path / name, people, parts, schema).digest()

    first = digest("1", ["a", "b", "a"])
    assert digest("2", ["a", "b", "a"], parts=3) == first
    assert digest("3", ["x", "y", "x"]) == first  # names are not part of it
    assert digest("4", ["a", "b", "b"]) != first
    assert digest("5", ["a", "b", "a"], schema=SCHEMA.model_copy(update={"person": "other"})) != first
    changed = np.load(tmp_path / "1" / "private" / "features.npy", "r+")
    changed[2, 1, 2] += 1
    changed.flush()
    assert open_source(tmp_path / "1").digest() != first


def test_no_targets_are_a_source_too(tmp_path: Path) -> None:
    source = write(tmp_path, ["a", "b"], schema=Schema(array=ArrayForm(shape=(1,), centre=0, spread=1)))
    assert source.targets.shape == (2, 0)
    assert len(source.digest()) == 64


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no features"):
        open_source(tmp_path)
    write(tmp_path, ["a", "b", "a"])
    whole = (tmp_path / "private" / "owner.npy").read_bytes()
    for owner in ([0, 2, 0], [1, 1, 1], [0, 1], [-1, 0, 0]):
        np.save(tmp_path / "private" / "owner.npy", np.array(owner, np.int64))
        with pytest.raises(IntegrityError, match="do not fit together"):
            open_source(tmp_path)
    (tmp_path / "private" / "owner.npy").write_bytes(whole[:-3])
    with pytest.raises(IntegrityError, match=r"owner.npy: is damaged; run `afml prepare` again"):
        open_source(tmp_path)
    (tmp_path / "private" / "owner.npy").write_bytes(whole)
    described = json.loads((tmp_path / "public" / "schema.json").read_text())
    described["array"]["shape"] = [3, 2]
    (tmp_path / "public" / "schema.json").write_text(json.dumps(described))
    with pytest.raises(IntegrityError, match="do not fit together"):
        open_source(tmp_path)


def test_a_source_that_was_not_finished_is_none(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), SourceWriter(tmp_path, SCHEMA) as writer:
        writer.append(["a"], np.zeros((1, 2, 3), np.float32), np.zeros((1, 1), np.float32))
        raise ZeroDivisionError
    with pytest.raises(InputError):
        open_source(tmp_path)


def test_a_block_of_another_form_is_refused(tmp_path: Path) -> None:
    with SourceWriter(tmp_path, SCHEMA) as writer, pytest.raises(ValueError, match="float64"):
        writer.append(["a"], np.zeros((1, 2, 3)), np.zeros((1, 1), np.float32))  # type: ignore[arg-type]
