"""Plans: stored, bound to their model, attacked before use."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import ConfigError, ReleaseError
from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.plan import ReleasePlan
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from afml.release.suite import worst_attack
from afml.release.verification import PanelCase, panel_case
from tests.masking.simulated import dosages
from tests.release.simulated import PANEL, SITES, without_network


def test_a_plan_survives_storage_and_is_bound_to_its_model(model: TrainedModel) -> None:
    plan = plan_release(model, PANEL, ReleaseSettings(min_group_size=5))
    again = ReleasePlan.from_dict(model, plan.to_dict())
    assert again.codebook.digest() == plan.codebook.digest()
    people = dosages(50, SITES, seed=3)
    assert np.array_equal(apply_plan(again, people).dosage, apply_plan(plan, people).dosage)
    with pytest.raises(ConfigError, match="another model"):
        ReleasePlan.from_dict(model, plan.to_dict() | {"model": "00"})
    with pytest.raises(ConfigError, match="no release method called 'other'"):
        ReleasePlan.from_dict(model, plan.to_dict() | {"method": "other"})


def test_planning_is_deterministic(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5)
    assert plan_release(model, PANEL, settings).to_dict() == plan_release(model, PANEL, settings).to_dict()


def test_a_network_release_needs_a_network(model: TrainedModel) -> None:
    bare = without_network(model)
    with pytest.raises(ConfigError, match="without a game"):
        plan_release(bare, PANEL, ReleaseSettings(method="network"))
    assert plan_release(bare, PANEL, ReleaseSettings(method="auto")).method in {"codebook", "static", "levels"}


def test_a_plan_is_attacked_before_it_is_used(model: TrainedModel) -> None:
    seen: list[PanelCase] = []

    def rr(case: PanelCase) -> float:
        seen.append(case)
        return len(np.unique(case.released, axis=0)) / 10

    settings = ReleaseSettings(min_group_size=5, patterns=8, target_rr=0.4, method="codebook")
    plan = plan_release(model, PANEL, settings, people_per_file=100, rr=rr)
    assert len(plan.codebook.patterns) <= 5
    assert [patterns for patterns, _ in plan.verified] == [8, 6, 4][: len(seen)]
    assert plan.verified[-1][1] <= 0.4
    case = seen[0]
    assert case.dosage.shape == case.released.shape
    held_out = {row.tobytes() for row in PANEL[1::2]}
    assert {row.tobytes() for row in case.dosage[: len(held_out)]} == held_out
    assert np.all((case.released == -1) | (case.released == case.dosage))
    assert case.mask(case.dosage).shape == case.dosage.shape
    again = ReleasePlan.from_dict(model, plan.to_dict())
    assert again.verified == plan.verified


def test_a_plan_that_never_withstands_is_refused(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5, patterns=4, target_rr=0.01, method="codebook")
    with pytest.raises(ReleaseError, match="target is 1 %"):
        plan_release(model, PANEL, settings, rr=lambda case: 0.5)


def test_without_another_measure_a_plan_is_attacked_as_the_reports_attack(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5, patterns=6, method="codebook")
    free = plan_release(model, PANEL, settings, people_per_file=60)
    case = panel_case(free, PANEL, 60)
    assert 1 / len(case.dosage) <= worst_attack()(case) <= len(free.codebook.patterns) / len(case.dosage) + 0.01
    held = plan_release(model, PANEL, settings.model_copy(update={"target_rr": 0.5}), people_per_file=60)
    assert [patterns for patterns, _ in held.verified] == [6]
    assert held.codebook.patterns == free.codebook.patterns
    with pytest.raises(ReleaseError, match=r"with two patterns, the target is 0\.01 %"):
        plan_release(model, PANEL, settings.model_copy(update={"target_rr": 1e-4, "patterns": 2}), people_per_file=60)
