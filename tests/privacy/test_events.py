from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.privacy.events import (
    Event,
    Gaussian,
    SubsampledGaussian,
    charged,
    compose,
    from_json,
    gaussian_rounds,
)

positive = st.floats(1e-3, 1e6)
events = st.one_of(
    st.builds(Gaussian, positive),
    st.builds(SubsampledGaussian, st.floats(1e-6, 1.0), positive, st.integers(1, 10**6)),
)


@given(events)
def test_json_round_trip(event: Event) -> None:
    assert from_json(json.loads(json.dumps(event.to_json()))) == event


@given(st.lists(events, max_size=8), st.randoms())
def test_composition_does_not_depend_on_order(found: list[Event], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert compose(found) == compose(shuffled)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kind": "laplace", "scale": 1.0},
        {"kind": "gaussian"},
        {"kind": "gaussian", "noise_multiplier": 1.0, "extra": 2.0},
        {"kind": "gaussian", "noise_multiplier": "1"},
        {"kind": "gaussian", "noise_multiplier": True},
        {"kind": "gaussian", "noise_multiplier": -1.0},
        {"kind": "gaussian", "noise_multiplier": float("nan")},
        {"kind": "subsampled_gaussian", "sample_rate": 0.5, "noise_multiplier": 1.0},
        {"kind": "subsampled_gaussian", "sample_rate": 1.5, "noise_multiplier": 1.0, "steps": 1},
        {"kind": "subsampled_gaussian", "sample_rate": 0.5, "noise_multiplier": 1.0, "steps": 0},
        {"kind": "subsampled_gaussian", "sample_rate": 0.5, "noise_multiplier": 1.0, "steps": 1.5},
    ],
)
def test_what_is_not_an_event_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        from_json(value)


def test_full_batch_steps_become_one_gaussian() -> None:
    composed = compose([Gaussian(2.0), SubsampledGaussian(1.0, 2.0, 3), SubsampledGaussian(0.1, 2.0, 5)])
    assert composed.gaussian_mu == 1.0
    assert composed.subsampled == ((0.1, 2.0, 5),)
    assert gaussian_rounds(1.0, 2.0) == Gaussian(2.0)


def test_a_run_is_charged_its_plan_where_it_subsamples_and_its_steps_where_it_does_not() -> None:
    plan = [SubsampledGaussian(1.0, 4.0, 16), SubsampledGaussian(0.1, 2.0, 50)]
    assert compose(charged(plan, [SubsampledGaussian(1.0, 4.0, 4)])) == compose(
        [SubsampledGaussian(1.0, 4.0, 4), SubsampledGaussian(0.1, 2.0, 50)]
    )
    beyond = [SubsampledGaussian(0.1, 2.0, 60)]
    assert compose(charged(plan, beyond)) == compose(beyond)
