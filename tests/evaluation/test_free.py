"""A codebook that need not show genotypes."""

from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.utility import Outcome, reached_freely, score_auc
from afml.evaluation.utility.free import freely_quantised


def test_cells_are_clusters_read_at_their_means() -> None:
    rng = np.random.default_rng(1)
    middles = np.array([[0.0, 0.0], [100.0, 0.1], [0.0, 0.1]])
    of = rng.integers(3, size=300)
    scores = middles[of] + rng.normal(size=(300, 2)) * [1.0, 0.001]  # each score counts by its spread
    told = freely_quantised(scores, 3)
    for cell in range(3):
        np.testing.assert_allclose(told[of == cell], np.tile(scores[of == cell].mean(axis=0), ((of == cell).sum(), 1)))
    np.testing.assert_array_equal(told, freely_quantised(scores, 3))


def test_as_many_cells_as_scores_say_what_scores_say() -> None:
    scores = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0], [2.0, 1.0]])
    np.testing.assert_allclose(freely_quantised(scores, 10), scores, atol=1e-9)


def test_more_cells_reach_more_and_no_more_than_the_scores() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(900, 3))
    liability = scores + rng.normal(size=(900, 3))
    training = np.arange(900) % 3 != 0
    outcomes = [Outcome((liability[:, k] > 0).astype(np.int8), training) for k in range(2)]
    outcomes.append(Outcome(liability[:, 2], training))
    few, many, all_of_them = (reached_freely(scores, outcomes, cells) for cells in (2, 60, 900))
    whole = [score_auc(scores, one) for one in outcomes]
    assert all(a < b for a, b in zip(few, many, strict=True))
    assert all_of_them == pytest.approx(whole, abs=1e-6)
    assert many == pytest.approx(whole, abs=0.1)
