"""Times, sizes and counts as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.operate.words import counted, duration, party, size

SECONDS = {"s": 1, "min": 60, "h": 3600, "day": 86_400, "days": 86_400}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (86_400, "1 day 0 h"),
        (200_000, "2 days 7 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (999_600, "1 MB"), (1_234_567, "1.23 MB")]
)
def test_sizes(count: int, told: str) -> None:
    assert size(count) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 entries, 0 runs"), (1, "1 entry, 1 run"), (2, "2 entries, 2 runs")])
def test_one_is_not_called_as_several(count: int, told: str) -> None:
    assert f"{counted(count, 'entry', 'entries')}, {counted(count, 'run')}" == told


@given(st.floats(60, 1e8))
def test_a_duration_is_told_down_to_its_second_unit(seconds: float) -> None:
    parts = [(int(count), SECONDS[unit]) for count, unit in re.findall(r"(\d+) (\w+)", duration(seconds))]
    assert len(parts) == 2
    assert abs(sum(count * unit for count, unit in parts) - seconds) <= parts[1][1]


@given(st.integers(0, 10**15))
def test_a_size_is_told_to_three_digits(count: int) -> None:
    number, unit = size(count).split()
    assert abs(float(number) * BYTES[unit] - count) <= max(0.5, 0.006 * count)


def test_a_party_that_is_called_by_its_role_is_named_once() -> None:
    assert party("node", "North") == "node North"
    assert party("coordinator", "coordinator") == "coordinator"
