"""A trained model on disk: whole, bound to its digest, and the same when it is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import IntegrityError
from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from tests.masking.simulated import config, dosages, enrolled, sites_panel

SITES, PEOPLE = 24, 40


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    panel = dosages(120, SITES, seed=0)
    return train_masking(config(SITES, PEOPLE), sites_panel(SITES), panel, enrolled(SITES, PEOPLE))


def test_a_model_survives_storage(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    people = dosages(10, SITES, seed=1)
    assert again.digest() == model.digest()
    assert np.array_equal(again.network_release(people), model.network_release(people))
    np.testing.assert_array_equal(again.risk_score(people), model.risk_score(people))
    assert set(people[again.network_release(people) > 0]) <= {1, 2}
    probability = model.keep_probability(people)
    assert np.array_equal((probability > 0.5) & (people > 0), model.network_release(people) > 0)


def test_a_damaged_model_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    card = tmp_path / "model" / "model.json"
    card.write_text(card.read_text().replace('"run": "test"', '"run": "other"'))
    with pytest.raises(IntegrityError, match="digest"):
        TrainedModel.load(tmp_path / "model")
    (tmp_path / "model" / "model.npz").write_bytes(b"PK")
    with pytest.raises(IntegrityError, match="cannot be read"):
        TrainedModel.load(tmp_path / "model")
