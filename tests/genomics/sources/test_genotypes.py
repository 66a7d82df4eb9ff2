"""Genotypes of a line decoded all at once, against one at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.genomics.sources.genotypes import Malformed, call_of, calls_of, numbers_of

ALLELES = st.sampled_from([".", "0", "1", "2", "9", "10", "127", "4096"])
PAIRS = st.builds("{}{}{}".format, ALLELES, st.sampled_from("|/"), ALLELES)
CALLS = st.one_of(PAIRS, ALLELES, st.builds("{}{}".format, st.sampled_from("|/"), PAIRS))
USUAL = st.builds("{}{}{}".format, st.sampled_from(".012389"), st.sampled_from("|/"), st.sampled_from(".01239"))
NOISE = st.text(alphabet="0123./|:-xA", max_size=5)


def slow(columns: list[str]) -> list[list[int]] | None:
    try:
        return [list(call_of(column.split(":")[0].encode())) for column in columns]
    except Malformed:
        return None


@given(
    st.one_of(*(st.lists(one, min_size=1, max_size=40) for one in (USUAL, CALLS, st.one_of(USUAL, NOISE)))),
    st.booleans(),
)
def test_all_at_once_is_one_at_a_time(columns: list[str], with_more: bool) -> None:
    if with_more:
        columns = [f"{column}:12:{place}" for place, column in enumerate(columns)]
    text, wanted = "\t".join(columns).encode(), slow(columns)
    if wanted is None:
        with pytest.raises(Malformed):
            calls_of(text, len(columns))
    else:
        assert calls_of(text, len(columns)).tolist() == wanted
    for others in (len(columns) + 1, len(columns) - 1):
        if others:
            with pytest.raises(Malformed):
                calls_of(text, others)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("0/1", (0, 1)),
        ("|0/1", (0, 1)),
        ("/1|1", (1, 1)),
        ("1", (1, -2)),
        ("|1", (1, -2)),
        (".", (-1, -2)),
        ("./2", (-1, 2)),
    ],
)
def test_one_call(text: str, call: tuple[int, int]) -> None:
    assert call_of(text.encode()) == call


@pytest.mark.parametrize("text", ["", "/", "0/", "0/1/", "0/1/1", "a", "0/-1", "0/1 ", "0\\1", "99999/1"])
def test_what_is_no_call(text: str) -> None:
    with pytest.raises(Malformed):
        call_of(text.encode())


def test_numbers() -> None:
    assert numbers_of([b"1", b"2.5", b"7"]).tolist() == [[1.0], [2.5], [7.0]]
    two = numbers_of([b"1,2", b".", b"3,."])
    assert two.shape == (3, 2)
    assert str(two.tolist()) == "[[1.0, 2.0], [nan, nan], [3.0, nan]]"
    for bad in ([b"x"], [b"1,x"]):
        with pytest.raises(Malformed):
            numbers_of(bad)
