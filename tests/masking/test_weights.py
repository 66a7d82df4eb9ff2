"""From accumulated noisy updates to sparse weights."""

from __future__ import annotations

import numpy as np

from afml.masking.chosen import masking_settings
from afml.masking.networks.features import PanelStatistics
from afml.masking.settings import RISK
from afml.masking.weights import Accumulated, evidence, fit_weights
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
    both = fit_weights(run, risk, statistics, dosage, Accumulated(accumulated))
    one = fit_weights(run, risk, statistics, dosage, Accumulated(accumulated), (["1"] * sites, pos))
    assert both[0, 5] > 0.5
    assert np.flatnonzero(one[0]).tolist() == [4, 9]  # nor is chance correlation of drawn people taken for LD


def test_evidence_is_the_correlation_in_standard_deviations_of_its_noise() -> None:
    """Exact marginals of made-up people, and the noise that a run of 20 rounds would add to them."""
    sites, people = 30, 4000
    rng = np.random.default_rng(1)
    dosage = rng.binomial(2, 0.3, (people, sites)).astype(np.int8)
    case = (dosage[:, 4] + rng.normal(size=people) > 0.6).astype(np.float64)
    statistics = PanelStatistics.from_panel(dosage, 0)
    run = config(sites, people // 3)
    # What rounds near the zero model accumulate, in Newton steps: the mean gradient over curvature times variance.
    steps = sum(phase.learning_rate * phase.rounds for phase in run.phases if phase.name == RISK)
    gradient = statistics.features(dosage).T @ (case - case.mean()) / people
    accumulated = steps * gradient / (0.25 * statistics.variance)
    found = evidence(run, masking_settings(run).risk, statistics, Accumulated(accumulated[None]))
    wanted = [np.corrcoef(dosage[:, site], case)[0, 1] for site in range(sites)]
    np.testing.assert_allclose(found.associations * found.noise[0], wanted, atol=0.01)
    assert found.associations.shape == (sites,)
    assert found.facts == {"noise": list(found.noise), "trained_on": sum(run.enrolled.values())}
    # Sampling alone is 1 / sqrt(people); the mechanism comes on top.
    assert found.noise[0] > sum(run.enrolled.values()) ** -0.5


def test_a_run_without_risk_rounds_has_no_evidence() -> None:
    run = config(12, 100)
    only_game = run.model_copy(update={"phases": tuple(phase for phase in run.phases if phase.name != RISK)})
    statistics = PanelStatistics.from_panel(np.random.default_rng(0).binomial(2, 0.3, (50, 12)).astype(np.int8), 0)
    found = evidence(only_game, masking_settings(run).risk, statistics, Accumulated(np.zeros((1, 12))))
    assert found.facts == {}
    assert not len(found.associations)
