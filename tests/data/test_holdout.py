"""The held-out draw: each person alone, the share asked for, and reproducible with a seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.data.holdout import HoldoutDraw

NAMES = [f"HG{number:05d}" for number in range(4000)]


def test_the_share_is_about_what_was_asked_for() -> None:
    enrolled = HoldoutDraw(0.25).enrolled(b"key", NAMES)
    assert enrolled.sum() == pytest.approx(3000, abs=5 * (4000 * 0.25 * 0.75) ** 0.5)
    assert HoldoutDraw(0.0).enrolled(b"key", NAMES).all()
    assert (enrolled != HoldoutDraw(0.25).enrolled(b"other", NAMES)).any()


@given(st.lists(st.text(min_size=1), unique=True), st.floats(0, 0.99))
def test_nobody_depends_on_who_else_is_there(names: list[str], share: float) -> None:
    draw = HoldoutDraw(share)
    together = dict(zip(names, draw.enrolled(b"key", names).tolist(), strict=True))
    assert together == {name: bool(draw.enrolled(b"key", [name])[0]) for name in names}


def test_fewer_are_held_out_of_a_smaller_share() -> None:
    few, many = (HoldoutDraw(share).enrolled(b"key", NAMES) for share in (0.1, 0.4))
    assert (few >= many).all()


def test_only_a_seed_gives_the_key_away() -> None:
    assert HoldoutDraw(0.2).simulated_key is None
    assert HoldoutDraw(0.2, 9).simulated_key == b"holdout 9"


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_share_is_a_fraction(share: float) -> None:
    with pytest.raises(InputError, match=r"--holdout: .* is not a fraction in \[0, 1\); for example 0.25"):
        HoldoutDraw(share)
