"""Attributes: classes by number or by band, and what is learned of each."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.data.attribute import Attribute

SEX = Attribute(name="sex", classes=("female", "male"))
BAND = Attribute(name="age", classes=("young", "middle", "old"), edges=(40, 60))


def test_a_class_against_the_rest_and_of_two_classes_one() -> None:
    assert [one.name for one in SEX.one_against_rest] == ["sex male"]
    assert [one.name for one in BAND.one_against_rest] == ["age young", "age middle", "age old"]
    np.testing.assert_array_equal(SEX.targets(np.array([0.0, 1.0, 1.0])), [[0], [1], [1]])
    expected = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_array_equal(BAND.targets(np.array([-3.0, 39.9, 40.0, 60.0, 99.5])), expected)


@given(
    edges=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=7, unique=True).map(sorted),
    values=st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=20),
)
def test_a_band_begins_at_its_edge(edges: list[float], values: list[float]) -> None:
    band = Attribute(name="age", classes=tuple(f"b{n}" for n in range(len(edges) + 1)), edges=tuple(edges))
    found = band.numbers(np.array(values))
    assert found.tolist() == [bisect_right(edges, value) for value in values]
    assert (band.targets(np.array(values)).sum(axis=1) <= 1).all()


@pytest.mark.parametrize("wrong", [2.0, -1.0, 0.5, np.nan])
def test_numbers_of_no_class_are_counted_and_not_shown(wrong: float) -> None:
    with pytest.raises(InputError, match=r"'sex' is no number of a class, 0 to 1, for 1 of 3 people; number the"):
        SEX.numbers(np.array([0.0, wrong, 1.0]), where="people.tsv")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"classes": ["one"]}, "classes"),
        ({"classes": ["a", "a"]}, "names a class twice"),
        ({"classes": [f"c{n}" for n in range(9)]}, "classes"),
        ({"classes": ["a", "b\tc"]}, "classes"),
        ({"edges": [1, 2]}, "2 classes and 2 edges"),
        ({"classes": ["a", "b", "c"], "edges": [2, 2]}, "do not ascend"),
        ({"edges": [float("nan")]}, "edges"),
        ({"name": "role"}, "heads another column"),
        ({"source": "panel"}, "source"),
    ],
)
def test_what_is_no_attribute_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Attribute.model_validate({"name": "sex", "classes": ["f", "m"]} | wrong)
