"""What the benchmark of a focus says of pairs of runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.focus import judged, page


def test_differences_are_paired_and_their_interval_is_that_of_their_mean() -> None:
    base = np.random.default_rng(1).normal(0.8, 0.1, 5)
    gains = np.array([0.01, 0.03, 0.05, 0.07, 0.09])
    ratios = np.stack([np.stack([base, base]), np.stack([base + gains, base])]).transpose(2, 0, 1)
    found = judged(ratios)
    assert found["release"]["difference"] == pytest.approx(0.05)
    assert found["release"]["interval"] == pytest.approx([0.0107, 0.0893], abs=1e-4)  # 2.776 * 0.0316 / sqrt(5)
    assert found["score"]["interval"] == [0.0, 0.0]
    lines = page([{"cell": "c", **found}]).splitlines()
    assert lines[-1].startswith("| c | ")
    assert lines[-1].count("|") == lines[-2].count("|") == 6
