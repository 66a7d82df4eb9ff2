"""The public panel that releases are planned on, and a model that shows nothing."""

from __future__ import annotations

import numpy as np

from afml.masking.model import TrainedModel
from tests.masking.simulated import dosages

SITES, PEOPLE = 24, 40
PANEL = dosages(120, SITES, seed=0)


def without_network(model: TrainedModel) -> TrainedModel:
    """The same model as if no game had been played."""
    return TrainedModel(
        model.mean,
        model.scale,
        model.annotations,
        model.weights,
        np.zeros(0),
        model.card,
        evidence=model.evidence,
        noise=model.noise,
    )
