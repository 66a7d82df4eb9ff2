"""Vectors within their bounds, figures against exact ones, intervals against repetition, and the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from afml.data.columns import Trait
from afml.release.evaluation.page import page
from afml.release.evaluation.results import measured
from afml.release.evaluation.settings import LINKED_ALONE, ReleaseEvaluationSettings
from afml.release.evaluation.vector import MEMBERSHIP, RECOGNISED, SIDES, blocks_of, of_trait, side_of
from afml.tasks.evaluation.exact import auc
from afml.tasks.release.blocks import Estimate

GOUT, HEIGHT = Trait(name="gout"), Trait(name="height", kind="quantitative", centre=170, spread=8)
MODEL = "0" * 64
BOTH = ReleaseEvaluationSettings(model=MODEL, traits=(GOUT, HEIGHT), bins=200)


def people(count: int, seed: int = 1, bins: int = 200) -> dict[str, NDArray[np.float64]]:
    """Everybody's values: a record says less of a trait than genotypes do."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=count)
    told = np.round(0.8 * raw + 0.6 * rng.normal(size=count))
    gout = (rng.random(count) < 1 / (1 + np.exp(1 - raw))).astype(float)
    height = 170 + 8 * (0.6 * raw + 0.8 * rng.normal(size=count))
    values = {
        RECOGNISED: (rng.random((count, 6)) < [0.01, 0.03, 0.02, 0.0, 0.01, 0.02]).astype(float),
        MEMBERSHIP: rng.random((count, 4)),
    }
    for trait, truth in ((GOUT, gout), (HEIGHT, height)):
        for side, said in zip(SIDES, (told, raw), strict=True):
            values[side_of(trait, side)] = of_trait(trait, truth, said, BOTH.model_copy(update={"bins": bins}))
    return values | {"told": told, "raw": raw, "gout": gout, "height": height}


def summed(
    values: dict[str, NDArray[np.float64]], std: float = 0.0, seed: int = 0, asked: ReleaseEvaluationSettings = BOTH
) -> dict[str, Estimate]:
    """What a run would come to, by the blocks' own arithmetic; the noise is that of a clip norm of 1."""
    blocks = blocks_of(asked)
    rows = np.concatenate([np.asarray(part.dense()[0]) for part in blocks.rows(values)], axis=1)
    total = rows.sum(axis=0) + np.random.default_rng(seed).normal(scale=std, size=len(blocks))
    return blocks.estimates(total, len(rows), std)


def test_without_noise_all_figures_are_the_exact_ones() -> None:
    values = people(4000)
    found = measured(BOTH, summed(values))
    hits = values[RECOGNISED].mean(axis=0)
    assert [row["rate"] for row in found["rr_by_attack"]] == pytest.approx(hits, abs=1e-5)
    assert (found["rr"], found["chance"]) == (pytest.approx(hits.max(), abs=1e-5), 1 / 1000)
    assert [row["name"] for row in found["rr_by_attack"]] == list(LINKED_ALONE)
    assert found["membership_auc"] == pytest.approx(values[MEMBERSHIP].mean(axis=0).max(), abs=1e-5)
    gout, height = found["traits"]
    ones = np.ones(4000)
    for side, said in zip(SIDES, (values["told"], values["raw"]), strict=True):
        assert gout[side] == pytest.approx(auc(said, values["gout"], ones), abs=2e-3)
        exact = np.corrcoef(np.clip(said, -4, 4), np.clip((values["height"] - 170) / 8, -4, 4))[0, 1] ** 2
        assert height[side] == pytest.approx(exact, abs=1e-4)
    assert gout["ratio"] == pytest.approx(gout["released"] / gout["raw"], rel=1e-4)
    assert height["ratio_95"][0] < height["ratio"] < height["ratio_95"][1]
    assert "gout | AUC" in page(found | CROSSED)


CROSSED: dict[str, Any] = {
    "model": MODEL,
    "crossed": {"delta": 1e-5, "ple_sigma": 0.5, "epsilon": 1.9, "quantities": []},
}


def test_intervals_hold_what_they_are_of_in_at_least_95_of_100_runs() -> None:
    coarse = BOTH.model_copy(update={"bins": 12})
    exact = measured(coarse, summed(people(200_000, seed=9, bins=12), asked=coarse))
    truth = {"rr": 0.03, "ratio": exact["traits"][0]["ratio"]}
    missed = dict.fromkeys(truth, 0)
    for seed in range(60):
        found = measured(coarse, summed(people(1500, 100 + seed, bins=12), std=1.0, seed=seed, asked=coarse))
        # Of one attack: picking the worst of several noisy ones errs upwards, to the safe side.
        intervals = {"rr": found["rr_by_attack"][1]["rate_95"], "ratio": found["traits"][0]["ratio_95"]}
        for name, pair in intervals.items():
            missed[name] += pair is None or not pair[0] <= truth[name] <= pair[1]
    assert max(missed.values()) <= 8  # of 60; one in a thousand by chance at exactly 5 %


def test_what_noise_swamps_is_not_given_a_number() -> None:
    found = measured(BOTH, summed(people(50), std=500.0))
    assert all(one["ratio"] is None for one in found["traits"])
    low, high = found["rr_95"]
    assert (low, high) == (0, 1)
    assert "| - | - |" in page(found | CROSSED)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nobody_is_longer_than_declared(data: st.DataObject) -> None:
    share = data.draw(st.floats(0.01, 0.99))
    attacks = LINKED_ALONE[: data.draw(st.integers(1, 6))]
    wanted = ReleaseEvaluationSettings(
        model=MODEL, traits=(GOUT, HEIGHT), attacks=attacks, recognised_share=share, bins=5
    )
    ends = st.sampled_from([0.0, 0.25, 1.0])
    values = {
        RECOGNISED: np.array([data.draw(st.lists(ends, min_size=len(attacks), max_size=len(attacks)))]),
        MEMBERSHIP: np.array([data.draw(st.lists(ends, min_size=4, max_size=4))]),
    }
    for trait, truths in ((GOUT, [0.0, 1.0]), (HEIGHT, [0.0, 160.0, 202.0, 1e9])):
        truth = np.array([data.draw(st.sampled_from(truths))])
        for side in SIDES:
            said = np.array([data.draw(st.sampled_from([-1e9, -4.0, -0.1, 0.0, 3.9, 4.0, 50.0]))])
            values[side_of(trait, side)] = of_trait(trait, truth, said, wanted)
    blocks = blocks_of(wanted)
    assert blocks.shares[0] ** 2 == pytest.approx(share)
    for part, limit in zip(blocks.rows(values), blocks.shares, strict=True):
        assert np.linalg.norm(part.dense()[0]) <= limit


@pytest.mark.parametrize(
    ("given_", "problem"),
    [
        ({"attacks": ["likelihood", "likelihood"]}, "an attack is named twice"),
        ({"attacks": ["trained identifier"]}, "Input should be 'likelihood'"),
        ({"attacks": []}, "at least 1 item"),
        ({"traits": [{"name": "gout"}, {"name": "gout"}]}, "two traits have the same name"),
        ({"candidates": 1}, "greater than or equal to 2"),
        ({"recognised_share": 1.0}, "less than 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given_: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ReleaseEvaluationSettings.model_validate({"model": MODEL} | given_)
