"""How long a stage may last, and for what it may last longer."""

from __future__ import annotations

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.run import Phase
from afml.consortium.stage import Stage
from aggregator.deadlines import StageClock
from aggregator.store.base import Position
from tests.aggregator.machine import small_run

SHORT, LONG = 10.0, 100.0
MECHANISM = {"sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 4.0, "learning_rate": 1.0}


def private(rounds: int, *, public: bool = False) -> Phase:
    return Phase(name="game" if public else "risk", rounds=rounds, needs_public=public, **MECHANISM)  # type: ignore[arg-type]


def patience(at: Position, *phases: Phase, public_part: bool = True) -> float | None:
    """Seconds that a stage lasts."""
    time = 5.0
    clock = StageClock(small_run(phases=phases, public_part=public_part), lambda: time)
    clock.enter(at)
    for seconds in (SHORT, LONG):
        time = 5.0 + seconds - 0.1
        assert not clock.passed
        time = 5.0 + seconds
        if clock.passed:
            return seconds
    return None


@pytest.mark.parametrize("stage", [Stage.GATHERING, Stage.OPEN])
def test_nodes_have_the_time_of_a_round(stage: Stage) -> None:
    assert patience(Position(stage, Attempt(1, 1)), private(2)) == SHORT


@pytest.mark.parametrize("stage", [Stage.ENROLLING, Stage.PAUSED, Stage.SUMMING, Stage.FAILED])
def test_no_deadline_ends_what_has_none(stage: Stage) -> None:
    assert patience(Position(stage, Attempt(1, 1)), private(2)) is None


@pytest.mark.parametrize(("round_number", "seconds"), [(1, SHORT), (2, SHORT), (3, LONG), (4, SHORT), (5, SHORT)])
def test_the_first_round_that_needs_the_public_part_waits_for_it(round_number: int, seconds: float) -> None:
    phases = private(2), private(2, public=True), private(1)
    for attempt in (1, 2):
        assert patience(Position(Stage.GATHERING, Attempt(round_number, attempt)), *phases) == seconds
    assert patience(Position(Stage.OPEN, Attempt(round_number, 1)), *phases) == SHORT
    assert patience(Position(Stage.FINISHED, Attempt(5, 1)), *phases) == SHORT


def test_a_public_part_that_no_round_needs_follows_the_last_one() -> None:
    assert patience(Position(Stage.FINISHED, Attempt(2, 1)), private(2)) == LONG
    assert patience(Position(Stage.FINISHED, Attempt(2, 1)), private(2), public_part=False) == SHORT


def test_the_model_stays_on_offer_as_long_as_the_run_says() -> None:
    time = 0.0
    clock = StageClock(small_run(linger_s=1000.0, public_part=False), lambda: time)
    clock.enter(Position(Stage.FINISHED, Attempt(2, 1)))
    time = 999.0
    assert not clock.passed
    time = 1000.0
    assert clock.passed


def test_the_seconds_of_a_round_count_from_its_last_gathering() -> None:
    time = 0.0
    clock = StageClock(small_run(), lambda: time)
    clock.enter(Position(Stage.GATHERING, Attempt(1, 1)))
    time = 7.0
    clock.enter(Position(Stage.GATHERING, Attempt(1, 2)))
    time = 9.0
    clock.enter(Position(Stage.OPEN, Attempt(1, 2)))
    time = 12.0
    assert clock.round_seconds == 5.0
