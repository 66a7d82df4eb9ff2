"""An evaluation that looks at samples: what it says of them, and that it finds what looking at everybody finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.evaluation.evaluate import evaluate, within
from afml.evaluation.inputs import EvaluationInputs, Institution, stacked
from afml.evaluation.limits import Limits, Most, chosen
from afml.evaluation.report import samples
from tests.evaluation.attacks.test_identifier import codebook_mask
from tests.simulated import simulate_dosage

LIMITS = Limits(Most(4_000, 4_000, 10), Most(4_000, 4_000, 10), 300, 250, 200, 100, 900)


def test_samples_are_taken_and_said() -> None:
    dosage = simulate_dosage(520, 160, 8)
    private, panel = dosage[:400], dosage[400:]
    rng = np.random.default_rng(0)
    liability = private[:, [0, 40, 80]].sum(axis=1) + rng.normal(size=400)
    values = np.stack([liability > 1.5, rng.random(400) < 0.5], axis=1).astype(np.int8)
    enrolled = rng.random(400) < 0.7
    files = np.array_split(np.arange(400), 2)
    institutions = tuple(
        Institution(private[f], values[f], enrolled[f], codebook_mask(private[f]), traits=liability[f, None])
        for f in files
    )
    weights = np.zeros((3, 160))
    weights[:, [0, 40, 80]] = 1.0
    inputs = EvaluationInputs(
        institutions, panel, codebook_mask, weights, names=("a", "b", "c"), train_identifier=False, asked_people=40,
        asked_sites=(0,), limits=LIMITS,
    )  # fmt: skip
    some, whole = evaluate(inputs), evaluate(replace(inputs, limits=Limits()))
    assert whole.sampled is None
    assert some.sampled is not None
    assert some.sampled.model_dump() == {
        "records": 400,
        "utility_people": 300,
        "baseline_people": 250,
        "members": 200,
        "harder_people": 400,
    }  # fmt: skip  (nine patterns among 400 candidates: every record is attacked)
    assert some.release.rr == whole.release.rr
    assert some.release.utility_ratio == pytest.approx(whole.release.utility_ratio, abs=0.15)
    assert some.details.membership.members == 200
    assert [point.candidates for point in some.details.population] == [400, 800]
    assert [row.name for row in some.baselines] == [row.name for row in whole.baselines]
    assert some.details.frequencies == whole.details.frequencies
    assert [one.scan for one in some.details.phenotypes] == [one.scan for one in whole.details.phenotypes]


def test_rows_that_lie_together_are_not_copied() -> None:
    whole = simulate_dosage(30, 8, 1)
    parts = [whole[2:10], whole[10:11], whole[11:30]]
    assert np.shares_memory(stacked(parts), whole)
    np.testing.assert_array_equal(stacked(parts), whole[2:])
    for others in ([whole[2:10], whole[11:30]], [whole[5:9], whole[2:5]], [whole[:5, :4], whole[5:9, :4]]):
        np.testing.assert_array_equal(stacked(others), np.concatenate(others))


def test_the_curve_over_the_population_ends_in_time() -> None:
    assert within((1, 10, 100), 2_003, 1_000_000) == (1, 10, 100)
    assert within((1, 10), 500_000, 1_000_000) == (1, 2)
    assert within((1, 10), 3_000_000, 1_000_000) == (1,)


def test_a_sample_is_everybody_where_there_are_no_more() -> None:
    assert chosen(10, 10, 1) == slice(None)
    rows = chosen(100, 10, 1)
    assert isinstance(rows, np.ndarray)
    assert (len(rows), bool((np.diff(rows) > 0).all())) == (10, True)
    assert samples(Limits(), 2_003, 2_003) is None


def test_smaller_samples_are_smaller_in_proportion_and_none_is_larger() -> None:
    usual, few = Limits(), Limits().of(5_000)
    assert (few.utility_people, few.baseline_people, few.members, few.harder) == (5_000, 820, 2_048, 2_000)
    assert few.attacks == usual.attacks, "attacks ask about everybody"
    assert few.candidates == usual.candidates
    assert usual.of(10**6) == usual.of(usual.utility_people) == usual
