"""Releases that need a model of their own: no DP, everything private; and the other methods of the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Phase, RunConfig
from afml.evaluation.masks import sensitive_mask
from afml.masking.chosen import masking_settings, with_settings
from afml.masking.enrolled import Enrolled
from afml.masking.kind import train_masking
from afml.masking.model import TrainedModel
from afml.masking.settings import GAME, RISK
from afml.release.alternatives import Alternative, Basis, by_each_method, by_method, network_masks
from afml.release.method import METHODS
from afml.release.plan import ReleasePlan
from afml.study.data import StudyData
from afml.study.settings import RunSettings

NO_DP = "no DP (upper bound)"
ALL_PRIVATE = "all-private DP"
SENSITIVE = "known sensitive sites masked"
GREEDY = "greedy codebook"
CODEBOOK = "panel codebook"
NETWORK = "network codebook"
STATIC_SITES = "static codebook"
_NO_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class Trained:
    """A run of the product as far as its release.

    Attributes:
        settings: Of the run.
        data: The people.
        enrolled: Node -> its enrolled people.
        causal: The phenotypes' causal sites: what a list of known sensitive sites would hold.
        model: The product's model.
        plan: The product's plan.
    """

    settings: RunSettings
    data: StudyData
    enrolled: Mapping[int, Enrolled]
    causal: NDArray[np.int64]
    model: TrainedModel
    plan: ReleasePlan


def rivals(run: Trained, private_game: RunSettings | None) -> tuple[Alternative, ...]:
    """All further releases of the people of one run.

    Args:
        run: The product's.
        private_game: Settings of the all-private run, or None to leave it out.
    """
    data, model, plan = run.data, run.model, run.plan
    config = run.settings.run_config(data)
    release, smallest = masking_settings(config).release, min(config.enrolled.values())
    basis = Basis(data.panel_dosage, tuple(data.files), release, smallest)
    found = [Alternative(SENSITIVE, sensitive_mask(run.causal, plan.masked))]
    # The plain baseline first; beside several codebooks the product's own is called by where it comes from.
    for one in by_each_method(model, basis, dict.fromkeys(("greedy", *METHODS.names()))):
        found.append(replace(one, name=CODEBOOK) if one.name == "codebook" else one)
    found += network_masks(model, plan.masked)
    found.append(by_method(NO_DP, without_noise(config, data, run.enrolled), basis, "codebook"))
    if private_game is not None:
        private = train_masking(private_game.run_config(data), data.panel, data.panel_dosage, run.enrolled)
        found.append(by_method(ALL_PRIVATE, private, basis, "network"))
    return tuple(found)


def without_noise(config: RunConfig, data: StudyData, enrolled: Mapping[int, Enrolled]) -> TrainedModel:
    """The same risk model from the same clipped rounds without noise, and no game: no privacy at all."""
    risk = tuple(
        Phase.model_validate(phase.model_dump() | {"noise_multiplier": _NO_NOISE})
        for phase in config.phases
        if phase.name == RISK
    )
    changes = {"noise": "local", "bits": 24, "phases": risk}
    settings = masking_settings(config)
    still = settings.model_copy(update={GAME: settings.game.model_copy(update={"steps": 0})})
    quiet = with_settings(config.model_copy(update=changes), still)
    return train_masking(quiet, data.panel, data.panel_dosage, enrolled)
