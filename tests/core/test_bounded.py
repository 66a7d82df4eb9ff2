"""Bounds that people read are never on the better side of what they bound."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.bounded import at_least, at_most

_ARITHMETIC = Fraction(1, 10**9)


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_no_bound_is_on_the_better_side_and_none_is_further_off_than_its_last_figure(value: float, places: int) -> None:
    exact, unit = Fraction(repr(value)), Fraction(1, 10**places)
    most, least = Fraction(at_most(value, places)), Fraction(at_least(value, places))
    near = _ARITHMETIC * abs(exact)
    assert exact - near <= most < exact + unit
    assert exact - unit < least <= exact + near
    assert at_least(-value, places).lstrip("-") == at_most(value, places).lstrip("-")


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_float64_adds_to_a_short_figure_is_no_figure(a: int, b: int) -> None:
    total = a / 1000 + b / 1000
    assert at_most(total) == at_least(total) == f"{(a + b) / 1000:.3f}"


def test_as_they_are_read() -> None:
    assert (at_most(0.43029), at_least(0.43029)) == ("0.431", "0.430")
    assert (at_most(0.1 + 0.2), at_least(0.9)) == ("0.300", "0.900")
    assert (at_most(0.0), at_most(1e-12), at_least(0.77356)) == ("0.000", "0.001", "0.773")
    assert (at_most(31.2, 0), at_most(math.inf)) == ("32", "inf")


@pytest.mark.parametrize("value", [123.4567, 0.0004, 2.0])
def test_a_printed_bound_is_its_own_bound(value: float) -> None:
    for told in (at_most, at_least):
        assert told(float(told(value))) == told(value)
