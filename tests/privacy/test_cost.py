"""Questions to `afml privacy`: what is refused, and that answers agree with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.core.errors import ConfigError
from afml.privacy.cost import Schedule, Target, converted, cost_of
from afml.privacy.curve import draw

SCHEDULE = Schedule(sample_rate=1.0, rounds=10, delta=1e-5)


@pytest.mark.parametrize("target", [Target(), Target(1.5, 0.9), Target(ple_sigma=0.9, epsilon=4.0)])
def test_exactly_one_thing_is_given(target: Target) -> None:
    with pytest.raises(ConfigError, match="give exactly one of --noise-multiplier, --ple, --epsilon"):
        cost_of(target, SCHEDULE)


@pytest.mark.parametrize(
    ("target", "schedule", "where"),
    [
        (Target(noise_multiplier=-1.0), SCHEDULE, "--noise-multiplier"),
        (Target(ple_sigma=float("nan")), SCHEDULE, "--ple"),
        (Target(epsilon=float("inf")), SCHEDULE, "--epsilon"),
        (Target(1.5), Schedule(1.5, 10, 1e-5), "--sample-rate"),
        (Target(1.5), Schedule(1.0, 0, 1e-5), "--rounds"),
        (Target(1.5), Schedule(1.0, 10, 1.0), "--delta"),
    ],
)
def test_what_is_out_of_range_is_refused_by_its_option(target: Target, schedule: Schedule, where: str) -> None:
    for ask in (cost_of, converted):
        with pytest.raises(ConfigError) as refused:
            ask(target, schedule)
        assert refused.value.where == where


@pytest.mark.parametrize("target", [Target(ple_sigma=0.9), Target(epsilon=4.0)])
def test_the_noise_for_a_target_costs_no_more_than_the_target(target: Target) -> None:
    found = cost_of(target, SCHEDULE).report
    again = cost_of(Target(found["noise_multiplier"]), SCHEDULE).report
    assert again == found
    reached, wanted = (found["ple_sigma"], 0.9) if target.ple_sigma else (found["epsilon"], 4.0)
    assert reached <= wanted * (1 + 1e-9)
    assert reached == pytest.approx(wanted, rel=1e-2)


def test_epsilon_and_ple_convert_into_each_other() -> None:
    epsilon = converted(Target(ple_sigma=0.9), SCHEDULE).report["epsilon"]
    assert converted(Target(epsilon=epsilon), SCHEDULE).report["ple_sigma"] == pytest.approx(0.9, rel=1e-6)
    assert "noise_multiplier" not in converted(Target(epsilon=epsilon), SCHEDULE).report
    with pytest.raises(ConfigError, match="works on --ple or --epsilon"):
        converted(Target(1.5), SCHEDULE)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_curve_is_drawn(tmp_path: Path, kind: str) -> None:
    cost = cost_of(Target(4.0), SCHEDULE)
    draw(cost, tmp_path / f"curve.{kind}")
    assert (tmp_path / f"curve.{kind}").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"cannot draw a \.gif"):
        draw(cost, tmp_path / "curve.gif")
