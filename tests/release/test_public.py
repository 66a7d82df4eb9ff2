"""Public people: mosaics of anybody with anybody, or of people who are alike where a release tells ancestry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from afml.masking.model import TrainedModel
from afml.masking.networks.features import PanelStatistics
from afml.masking.weights import component_weights
from afml.release.public import alike, learning_people
from tests.simulated import simulate_dosage

SITES, HALF = 96, 60


def _two_populations() -> NDArray[np.int8]:
    """The second one has the other allele at half of the sites."""
    dosage = simulate_dosage(2 * HALF, SITES, 3)
    dosage[HALF:, ::2] = 2 - dosage[HALF:, ::2]
    return dosage


def _keeping(model: TrainedModel, panel: NDArray[np.int8], kept: int) -> TrainedModel:
    statistics = PanelStatistics.from_panel(panel, 0)
    components = component_weights(statistics, panel, kept)
    card = model.card | {"risk": {"kept_components": kept}}
    weights = np.concatenate([np.zeros((1, SITES)), components])
    return replace(model, mean=statistics.mean, scale=statistics.scale, weights=weights, card=card)


def test_mosaics_stay_within_a_population_where_components_are_kept(model: TrainedModel) -> None:
    panel = _two_populations()
    keeping = _keeping(model, panel, 1)
    mates = alike(keeping, panel)
    assert mates is not None
    assert mates.shape == (2 * HALF, 6)
    assert ((mates < HALF) == (np.arange(2 * HALF) < HALF)[:, None]).all()
    for row in (0, 17, 100):  # the nearest are found as one would by hand
        score = keeping.risk_score(panel)[:, -1]
        nearest = [other for other in np.argsort(np.abs(score - score[row]), kind="stable") if other != row]
        assert set(mates[row]) == set(nearest[:6])
    score = keeping.risk_score(learning_people(keeping, panel, 400))[:, -1]
    sides = keeping.risk_score(panel)[:, -1]
    gap = (max(sides[:HALF].min(), sides[HALF:].min()) + min(sides[:HALF].max(), sides[HALF:].max())) / 2
    width = abs(sides[:HALF].mean() - sides[HALF:].mean())
    assert (np.abs(score - gap) < 0.15 * width).mean() < 0.02
    few = alike(keeping, panel[:4])
    assert few is not None
    assert [set(others) for others in few] == [{0, 1, 2, 3} - {row} for row in range(4)]  # never with oneself
    plain = replace(keeping, card=model.card)
    assert alike(plain, panel) is None
    near = alike(plain, panel, near=True)  # as for many patterns, whatever the model keeps
    assert near is not None
    assert ((near < HALF) == (np.arange(2 * HALF) < HALF)[:, None]).all()
    pure = keeping.risk_score(learning_people(plain, panel, 400, near=True))[:, -1]
    assert (np.abs(pure - gap) < 0.15 * width).mean() < 0.02
    mixed = keeping.risk_score(learning_people(plain, panel, 400))[:, -1]
    assert (np.abs(mixed - gap) < 0.15 * width).mean() > 0.1
