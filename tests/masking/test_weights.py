"""From accumulated noisy updates to sparse weights."""

from __future__ import annotations

import numpy as np

from afml.masking.kind import masking_settings
from afml.masking.networks.features import PanelStatistics
from afml.masking.weights import fit_weights
from tests.masking.simulated import config


def test_a_drawn_panel_gives_one_weight_per_neighbourhood() -> None:
    """Two sites that the same causal site shines through: a panel with LD would tell, a drawn one may not."""
    sites, people = 12, 200
    dosage = np.random.default_rng(0).binomial(2, 0.3, (people, sites)).astype(np.int8)
    run = config(sites, 5000)
    risk = masking_settings(run).risk
    statistics = PanelStatistics.from_panel(dosage, 0)
    accumulated = np.full((1, sites), 1e-6)
    accumulated[0, [4, 5, 9]] = [0.3, 0.29, 0.25]
    pos = np.arange(sites, dtype=np.int64) * 400_000
    both = fit_weights(run, risk, statistics, dosage, accumulated)
    one = fit_weights(run, risk, statistics, dosage, accumulated, (["1"] * sites, pos))
    assert both[0, 5] > 0.5
    assert np.flatnonzero(one[0]).tolist() == [4, 9]  # nor is chance correlation of drawn people taken for LD
