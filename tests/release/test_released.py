"""Released files: in groups, true, and nothing that was not called."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import ReleaseError
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.method import AUTO, METHODS
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES


@pytest.mark.parametrize("method", [*METHODS.names(), AUTO])
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_released_file(model: TrainedModel, method: str, fill: str) -> None:
    settings = ReleaseSettings(method=method, fill=fill, min_group_size=6, patterns=6)  # type: ignore[arg-type]
    plan = plan_release(model, PANEL, settings, people_per_file=50)
    people = dosages(50, SITES, seed=77)
    released = apply_plan(plan, people)
    masked = 0 if fill == "major" else -1
    rows, counts = np.unique(released.dosage, axis=0, return_counts=True)
    assert counts.min() >= 6
    assert released.min_group_size >= 6
    assert released.patterns_used >= len(rows)
    assert np.all((released.dosage == masked) | (released.dosage == people))
    assert 0.0 <= released.retained_fraction <= 1.0
    assert 0.0 <= released.entropy_bits <= np.log2(50 / 6) + 1e-9
    assert plan.method in plan.reason
    if method == "network":
        assert np.all((released.dosage <= 0) | (released.dosage == model.network_release(people)))


def test_a_missing_genotype_is_never_shown(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=1, method="codebook"))
    nothing_called = np.full((5, SITES), -1, np.int8)
    assert not apply_plan(plan, nothing_called).dosage.any()


def test_a_file_smaller_than_a_group_is_refused(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=20))
    with pytest.raises(ReleaseError, match="7 people"):
        apply_plan(plan, dosages(7, SITES, seed=1))
