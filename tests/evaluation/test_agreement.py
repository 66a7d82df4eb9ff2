from __future__ import annotations

import numpy as np
import pytest

from afml.evaluation.agreement import frequencies, frequency_agreement, scan_agreement, trend_z
from afml.evaluation.masks import static_mask
from tests.simulated import simulate_dosage


def test_raw_data_agree_with_themselves() -> None:
    dosage = simulate_dosage(300, 50, 3)
    phenotype = (dosage[:, 4] + np.random.default_rng(0).normal(size=300) > 1).astype(np.int8)
    found = frequency_agreement(dosage, dosage, dosage[:100])
    assert (found.mean_error, found.within_one_percent, found.sites_without_calls) == (0.0, 1.0, 0)
    assert found.correlation == pytest.approx(1.0)
    assert found.panel_mean_error > 0
    scan = scan_agreement(dosage, dosage, phenotype)
    assert scan.raw_hits == scan.released_hits == scan.shared_hits >= 1
    assert scan.false_hits == 0
    assert scan.effect_correlation == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0, -1])
def test_an_empty_release_has_no_frequencies_and_no_hits(value: int) -> None:
    dosage = simulate_dosage(200, 30, 4)
    phenotype = (dosage[:, 4] > 0).astype(np.int8)
    empty = np.full_like(dosage, value)
    found, scan = frequency_agreement(empty, dosage, dosage), scan_agreement(empty, dosage, phenotype)
    assert found.correlation is None
    assert found.sites_without_calls == (30 if value < 0 else 0)
    if value == 0:
        assert found.mean_error == pytest.approx(frequencies(dosage).mean())
    assert (scan.released_hits, scan.shared_hits, scan.false_hits) == (0, 0, 0)
    assert scan.effect_correlation is None


def test_the_trend_statistic_equals_the_table_of_armitage() -> None:
    """n * r^2 computed from the 2 x 3 table of cases and controls, people without a call left out."""
    rng = np.random.default_rng(1)
    dosage = rng.integers(-1, 3, size=(120, 6)).astype(np.int8)
    phenotype = rng.integers(0, 2, size=120).astype(np.int8)
    for site in range(6):
        called = dosage[:, site] >= 0
        x, y = dosage[called, site].astype(float), phenotype[called].astype(float)
        n, cases = len(x), y.sum()
        t = sum(g * ((x[y == 1] == g).sum() * (n - cases) - (x[y == 0] == g).sum() * cases) for g in range(3))
        columns = [(x == g).sum() for g in range(3)]
        spread = sum(g * g * c * (n - c) for g, c in enumerate(columns)) - 2 * sum(
            g * h * columns[g] * columns[h] for g in range(3) for h in range(g + 1, 3)
        )
        variance = cases * (n - cases) / n * spread
        assert trend_z(dosage, phenotype)[site] == pytest.approx(t / np.sqrt(variance))


def test_a_hit_made_by_masking_is_called_false() -> None:
    """The mask shows site 1 of cases only: the release invents an association there and loses the one at 0."""
    dosage = simulate_dosage(400, 20, 5)
    phenotype = (np.random.default_rng(2).random(400) < 0.5).astype(np.int8)
    released = static_mask(np.array([1]), 0)(dosage)
    released[phenotype == 0] = 0
    scan = scan_agreement(released, dosage, phenotype)
    assert (scan.raw_hits, scan.released_hits, scan.false_hits) == (0, 1, 1)
