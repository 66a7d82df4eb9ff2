"""Released files: in groups, true, and nothing that was not called."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import ConfigError, ReleaseError
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.grouping import assign_groups
from afml.release.method import AUTO, METHODS
from afml.release.planning import plan_release
from afml.release.released import apply_plan, apply_to_parts, parts_of
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES


@pytest.mark.parametrize("method", [*METHODS.names(), AUTO])
@pytest.mark.parametrize("fill", ["major", "missing"])
def test_a_released_file(model: TrainedModel, method: str, fill: str) -> None:
    settings = ReleaseSettings(method=method, fill=fill, min_group_size=6, patterns=6)  # type: ignore[arg-type]
    if method != AUTO and fill not in METHODS.get(method).fills:
        with pytest.raises(ConfigError, match="does not go with fill 'major'"):
            plan_release(model, PANEL, settings, people_per_file=50)
        return
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
    assert (apply_plan(plan, nothing_called).dosage == -1).all()


def test_people_read_in_parts_are_released_as_together(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=6, patterns=6))
    people = dosages(1100, SITES, seed=3)  # three parts
    parts = list(parts_of(*people.shape))
    assert [rows.start for rows in parts] == [0, 512, 1024]
    assert len(list(parts_of(10, 100_000_000))) == 10
    together, read = apply_plan(plan, people), apply_to_parts(plan, (people[rows] for rows in parts))
    assert np.array_equal(together.dosage, read.dosage)
    assert together.retained_fraction == read.retained_fraction
    # The slow and obvious way: everybody's distances at once, everybody's records whole.
    slow = assign_groups(plan.codebook, plan.contained(people), model.risk_score(people), 6)
    assert np.array_equal(together.patterns, slow)
    shown = plan.codebook.show(slow, -1)
    assert np.array_equal(together.dosage, shown)
    assert together.retained_fraction == (shown > 0).sum() / (people > 0).sum()


def test_a_file_smaller_than_a_group_is_refused(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=20))
    with pytest.raises(ReleaseError, match="7 people"):
        apply_plan(plan, dosages(7, SITES, seed=1))
