"""Schemas: what may be declared, what features it makes, and scales against arithmetic by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.data.schema import ArrayForm, ImageForm, Scale, Schema, SchemaColumn

AGE = {"name": "age", "low": 18, "high": 100}
COLOUR = {"name": "colour", "kind": "category", "categories": ("red", "green")}
ILL = {"name": "ill", "kind": "binary"}


def test_features_are_named_in_the_order_of_the_schema() -> None:
    schema = Schema(
        columns=(
            SchemaColumn(**COLOUR, missing="indicator", fill="red"),
            SchemaColumn(**ILL),
            SchemaColumn(**AGE, missing="value", fill=50),
        ),
        targets=("ill",),
    )
    assert schema.features == ("colour=red", "colour=green", "colour missing", "age")
    assert (schema.shape, schema.form, schema.keys) == ((4,), "table", ("person",))
    assert [column.name for column in schema.target_columns] == ["ill"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (AGE | {"high": None}, "has no scale: declare low and high"),
        (AGE | {"high": 18}, "has no scale"),
        (AGE | {"low": -1.5e308, "high": 1.5e308}, "has no scale"),
        (AGE | {"centre": 1, "spread": 1}, "has no scale"),
        ({"name": "age", "centre": 1, "spread": 0}, "greater than 0"),
        ({"name": "age", "centre": 1}, "has no scale"),
        ({"name": "age", "centre": float("nan"), "spread": 1}, "finite"),
        ({"name": "age"}, "has no scale"),
        (ILL | {"low": 0, "high": 1}, "is no number and has no scale"),
        (ILL | {"categories": ("a",)}, "categories are listed for a category"),
        (COLOUR | {"categories": ()}, "categories are listed for a category"),
        (COLOUR | {"categories": ("a", "a")}, "different words"),
        (COLOUR | {"categories": (" a",)}, "different words"),
        (AGE | {"missing": "value"}, "give a fill"),
        (AGE | {"fill": 20}, "give a fill"),
        (AGE | {"missing": "value", "fill": 17}, "not a value that the column may have"),
        (AGE | {"missing": "value", "fill": "20"}, "not a value that the column may have"),
        (ILL | {"missing": "value", "fill": 0.5}, "not a value that the column may have"),
        (COLOUR | {"missing": "indicator", "fill": "blue"}, "not a value that the column may have"),
        (AGE | {"name": " age"}, "blanks around it"),
        (AGE | {"name": "a\ng"}, "cannot be printed"),
        (AGE | {"unit": "years"}, "Extra inputs"),
    ],
)
def test_columns_that_contradict_themselves(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SchemaColumn(**changed)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"columns": (AGE, AGE)}, "column 'age' is declared twice"),
        ({"columns": (AGE,), "person": "age"}, "column 'age' is declared twice"),
        ({"columns": (AGE,), "targets": ("ill",)}, "target 'ill' is none of the columns"),
        ({"columns": (AGE, ILL), "targets": ("ill", "ill")}, "target 'ill' is declared twice"),
        ({"columns": (ILL,), "targets": ("ill",)}, "there is no feature"),
        ({}, "there is no feature"),
        ({"columns": (AGE, ILL | {"missing": "value", "fill": 0}), "targets": ("ill",)}, "a target cannot be filled"),
        ({"columns": (COLOUR, ILL | {"name": "colour=red"})}, "feature 'colour=red' is declared twice"),
        ({"columns": (AGE,), "array": {"shape": (2,), "low": 0, "high": 1}}, "'age' is no target"),
        ({"array": {"shape": (2,)}}, "has no scale"),
        ({"array": {"shape": (2, 0), "low": 0, "high": 1}}, "at least 1"),
        ({"array": {"shape": (), "low": 0, "high": 1}}, "at least 1 item"),
        ({"images": {"width": 2, "height": 2, "mode": "P"}}, "'L' or 'RGB'"),
        ({"images": {"width": 2, "height": 2, "mode": "L", "file": "person"}}, "'person' is declared twice"),
        ({"images": {"width": 2, "height": 2, "mode": "L"}, "array": {"shape": (2,), "low": 0, "high": 1}}, "not both"),
    ],
)
def test_schemas_that_contradict_themselves(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("not both", "not from both")):
        Schema(**changed)


def test_a_bad_schema_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text('[[columns]]\nname = "age"\n')
    with pytest.raises(InputError) as caught:
        Schema.load(path)
    assert str(caught.value) == (
        f"{path}: columns.0: column 'age' has no scale: declare low and high (low below high), or centre and spread; "
        "correct this key"
    )


def test_the_digest_is_of_what_is_declared(tmp_path: Path) -> None:
    """Not of how it is written: TOML and JSON, 18 and 18.0."""
    path = tmp_path / "schema.toml"
    path.write_text('[[columns]]\nname = "age"\nhigh = 100.0\nlow = 18.0\n')
    schema = Schema(columns=(SchemaColumn(**AGE),))
    assert Schema.load(path).digest() == schema.digest()
    (tmp_path / "schema.json").write_bytes(schema.canonical())
    assert Schema.load(tmp_path / "schema.json") == schema
    assert Schema(columns=(SchemaColumn(**AGE | {"high": 101}),)).digest() != schema.digest()


def test_shapes_of_arrays_and_images() -> None:
    image = ImageForm(width=3, height=2, mode="RGB", file="path")
    assert (Schema(images=image).shape, Schema(images=image).form) == ((3, 2, 3), "images")
    assert Schema(images=image).keys == ("person", "path")
    array = ArrayForm(shape=(4, 5), centre=0, spread=1)
    assert (Schema(array=array).shape, Schema(array=array).form) == ((4, 5), "array")


@given(st.lists(st.floats(allow_infinity=False), max_size=8))
def test_a_scale_depends_on_no_other_number(values: list[float]) -> None:
    for scale, least, most in (
        (Scale(low=-2, high=6), 0.0, 1.0),
        (Scale(centre=3, spread=0.5), -4.0, 4.0),
    ):
        together = scale.scaled(np.array(values, dtype=np.float64))
        alone = [scale.scaled(np.array([value])) for value in values]
        np.testing.assert_array_equal(together.values, np.array([one.values[0] for one in alone]))
        assert together.outside.tolist() == [bool(one.outside[0]) for one in alone]
        known = together.values[~np.isnan(np.array(values, dtype=np.float64))]
        assert ((known >= least) & (known <= most)).all()


def test_scales_by_hand() -> None:
    scaled = Scale(low=10, high=20).scaled(np.array([10.0, 15.0, 20.0, 9.9, 1e300]))
    assert (scaled.values.tolist(), scaled.outside.tolist()) == ([0, 0.5, 1, 0, 1], [False] * 3 + [True] * 2)
    scaled = Scale(centre=10, spread=2).scaled(np.array([10.0, 18.0, 2.0, 18.1, -1e300]))
    assert (scaled.values.tolist(), scaled.outside.tolist()) == ([0, 4, -4, 4, -4], [False] * 3 + [True] * 2)
