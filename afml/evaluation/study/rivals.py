"""Releases that need a model of their own: no DP, everything private; and the other methods of the product."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.run import Phase, ReleaseSettings, RunConfig
from afml.evaluation.attacks.base import Int8, ReleaseFunction
from afml.evaluation.masks import sensitive_mask
from afml.evaluation.study.data import StudyData
from afml.evaluation.study.settings import RunSettings
from afml.training.inprocess import train_in_process
from afml.training.model import TrainedModel
from afml.training.program import Cohort
from afml.training.release import Method, ReleasePlan, apply_plan, mask_alone, plan_release

NO_DP = "no DP (upper bound)"
ALL_PRIVATE = "all-private DP"
SENSITIVE = "known sensitive sites masked"
GREEDY = "greedy codebook"
CODEBOOK = "panel codebook"
NETWORK = "network codebook"
NETWORK_MASKS = "network masks, ungrouped"
_NO_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class Rival:
    """Another release of the same people."""

    name: str
    mask: ReleaseFunction
    released: tuple[Int8, ...] | None


def rivals(
    settings: RunSettings,
    data: StudyData,
    people: Mapping[int, Cohort],
    model: TrainedModel,
    plan: ReleasePlan,
    causal: NDArray[np.int64],
    private_game: RunSettings | None,
) -> tuple[Rival, ...]:
    """All further releases of one run.

    Args:
        settings: Of the run.
        data: The people.
        people: Node -> enrolled people.
        model: The product's model.
        plan: The product's plan.
        causal: The phenotypes' causal sites: what a list of known sensitive sites would hold.
        private_game: Settings of the all-private run, or None to leave it out.
    """
    config = settings.run_config(data)
    masked, smallest = 0 if plan.fill == "major" else -1, min(config.enrolled.values())
    found = [Rival(SENSITIVE, sensitive_mask(causal, masked), None)]
    names: dict[Method, str] = {"greedy": GREEDY, "codebook": CODEBOOK, "network": NETWORK}
    for method, name in names.items():
        if method == "network" and not len(model.game):
            continue
        other = config.release.model_copy(update={"method": method})
        found.append(_planned(name, model, other, data, smallest))
    if len(model.game):
        found.append(Rival(NETWORK_MASKS, functools.partial(_network, model, masked), None))
    codebook = config.release.model_copy(update={"method": "codebook"})
    found.append(_planned(NO_DP, without_noise(config, data, people), codebook, data, smallest))
    if private_game is not None:
        private = train_in_process(private_game.run_config(data), data.panel, data.panel_dosage, dict(people))
        network = config.release.model_copy(update={"method": "network"})
        found.append(_planned(ALL_PRIVATE, private, network, data, smallest))
    return tuple(found)


def without_noise(config: RunConfig, data: StudyData, people: Mapping[int, Cohort]) -> TrainedModel:
    """The same risk model from the same clipped rounds without noise, and no game: no privacy at all."""
    risk = tuple(
        Phase.model_validate(phase.model_dump() | {"noise_multiplier": _NO_NOISE})
        for phase in config.phases
        if phase.name == "risk"
    )
    changes = {"noise": "local", "bits": 24, "phases": risk}
    quiet = config.model_copy(update=changes | {"game": config.game.model_copy(update={"steps": 0})})
    return train_in_process(quiet, data.panel, data.panel_dosage, dict(people))


def _planned(
    name: str, model: TrainedModel, settings: ReleaseSettings, data: StudyData, people: int
) -> Rival:
    plan = plan_release(model, data.panel_dosage, settings, people_per_file=people)
    files = tuple(apply_plan(plan, file).dosage for file in data.files)
    return Rival(name, functools.partial(mask_alone, plan), files)


def _network(model: TrainedModel, masked: int, dosage: Int8) -> Int8:
    shown = model.network_release(dosage)
    return shown if masked == 0 else np.where(shown == 0, np.int8(masked), shown)
