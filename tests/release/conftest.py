"""One small trained model for all tests of releases."""

from __future__ import annotations

import pytest

from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from tests.masking.simulated import config, enrolled, sites_panel
from tests.release.simulated import PANEL, PEOPLE, SITES


@pytest.fixture(scope="session")
def model() -> TrainedModel:
    return train_masking(config(SITES, PEOPLE), sites_panel(SITES), PANEL, enrolled(SITES, PEOPLE))
