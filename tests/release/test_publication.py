"""Verdicts about a package: each target against what was counted, or against the interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.release.package.publication import Asked, Found, Judged, judge, missed
from node.loosening import looser
from node.policy import Policy, ReleaseRules
from tests.evaluation.example import with_release


def found(groups: tuple[int, ...] = (10, 12, 20), joint: tuple[int, int] = (10, 10), **release: object) -> Found:
    return Found(groups, joint, with_release(**release))


def verdict(judged: tuple[Judged, ...], target: str) -> bool:
    (one,) = (one.verdict.met for one in judged if one.verdict.target == target)
    return one


def test_what_nobody_asks_is_not_judged() -> None:
    judged = judge(Asked(10), found())
    assert [one.verdict.target for one in judged] == ["group size", "joint groups"]
    assert missed(judged) == ()


@pytest.mark.parametrize(("asked", "met"), [(9, True), (10, True), (11, False)])
def test_groups_are_counted(asked: int, met: bool) -> None:
    assert verdict(judge(Asked(asked), found()), "group size") is met
    assert verdict(judge(Asked(1), found(joint=(10, asked))), "joint groups") is met


@given(st.floats(0.001, 0.999), st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_a_rate_is_met_by_what_groups_allow_or_by_the_upper_end_alone(asked: float, rates: list[float]) -> None:
    low, rate, high = rates
    judged = judge(Asked(1, rr=asked), found((10, 10, 30), rr=rate, rr_ci95=(low, high)))
    assert verdict(judged, "re-identification rate") is (asked >= 3 / 50 or high <= asked)


@pytest.mark.parametrize(
    ("release", "met"),
    [
        ({"utility_ratio": 1.0, "utility_ratio_ci95": (0.9, 1.1)}, True),
        ({"utility_ratio": 1.0, "utility_ratio_ci95": (0.89, 1.2)}, False),
        ({"utility_ratio": 0.9, "utility_ratio_ci95": None}, True),
        ({"utility_ratio": 0.89, "utility_ratio_ci95": None}, False),
        ({"utility_ratio": 2.0, "utility_ratio_ci95": None, "utility_comparable": False}, False),
    ],
)
def test_a_utility_is_met_by_the_lower_end(release: dict[str, object], met: bool) -> None:
    judged = judge(Asked(1, utility=0.9), found(**release))
    assert verdict(judged, "utility ratio") is met
    assert bool(missed(judged)) is not met


def test_targets_of_what_is_published_loosen_in_their_own_directions() -> None:
    strict, loose = (
        Policy(release=ReleaseRules(target_rr=rr, target_utility=utility)) for rr, utility in ((0.01, 0.9), (0.5, 0.5))
    )
    values = strict.model_dump(mode="json"), loose.model_dump(mode="json")
    assert looser(*values) == ["release.target_rr: 0.01 -> 0.5", "release.target_utility: 0.9 -> 0.5"]
    assert looser(*reversed(values)) == []
