"""The frontier: what more patterns would say and give away, before anything is released."""

from __future__ import annotations

import pytest

from afml.masking.model import TrainedModel
from afml.masking.settings import ReleaseSettings
from afml.release.frontier import frontier
from afml.release.method import METHODS
from afml.release.trial import hold_trial
from tests.release.simulated import PANEL


def test_points_go_from_few_patterns_to_what_the_smallest_file_has_groups_for(model: TrainedModel) -> None:
    settings = ReleaseSettings(min_group_size=5, patterns=7, target_rr=0.5)
    points = frontier(model, PANEL, settings, (60, 80))
    assert [one.patterns for one in points] == [5, 7, 10, 12]
    assert [one.rr_known for one in points] == pytest.approx([5 / 60, 7 / 60, 10 / 60, 12 / 60])
    assert [one.rr for one in points] == pytest.approx([5 / 140, 7 / 140, 10 / 140, 12 / 140])
    for one in points:
        wanted = settings.model_copy(update={"patterns": one.patterns})
        names = ("codebook", "network", "levels")
        tried = {name: hold_trial(model, PANEL, wanted, METHODS.get(name), 60) for name in names}
        assert one.explained == tried[one.method].explained
        worth = {name: trial.explained / (1.05 if name == "levels" else 1) for name, trial in tried.items()}
        assert worth[one.method] == max(worth.values())


def test_beyond_many_patterns_the_points_are_those_of_cells(model: TrainedModel) -> None:
    settings = ReleaseSettings(method="auto", min_group_size=2, patterns=10)
    points = frontier(model, PANEL, settings, (480,))
    assert [one.patterns for one in points] == [5, 10, 20, 50, 100, 200, 240]
    assert points[-1].method == "cells"
    assert points[-1].explained > 0.99  # of a score of few sites, as a static release of these says all
