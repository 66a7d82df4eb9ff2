"""Planning a release: which method and which patterns, from public data.

With "auto" the methods that are compared each learn on one half of the panel and are judged on the other half, at
the group size asked for: by what recipients can be expected to predict from their patterns, given the known noise of
the scores. As many patterns are made as are asked for: where the score is noisy fewer promise a little more, but told
less on average in every trial, and now and then by far. Private people have no part in the choice. What is released is
protected by masking and group size, not by differential privacy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import ReleaseSettings
from afml.release.method import AUTO, METHODS, asked_for
from afml.release.model import ScoredModel
from afml.release.plan import LEAST_CORRELATION, ReleasePlan
from afml.release.public import learning_people
from afml.release.suite import worst_attack
from afml.release.trial import Ground, Trial
from afml.release.verification import PanelCase, Target, withstanding

#: People of one file that groups are planned for, where the caller names no number.
_FILE_PEOPLE = 400


def plan_release(
    model: ScoredModel,
    panel_dosage: NDArray[np.int8],
    settings: ReleaseSettings,
    *,
    people_per_file: int | None = None,
    rr: Callable[[PanelCase], float] | None = None,
    without: Collection[str] = (),
) -> ReleasePlan:
    """Choose method and patterns from public data.

    With `settings.target_rr` the plan is attacked first: learned on one half of the panel, applied to the other
    half and mosaics of it, with fewer patterns each time until `rr` is at most the target.

    Args:
        model: The trained model.
        panel_dosage: Panel dosages, [people, sites].
        settings: How records are released.
        people_per_file: People of the smallest file to come (public); groups are planned for it.
        rr: Re-identification rate of the worst attack on a case, in [0, 1]; by default that of `suite.worst_attack`.
        without: Methods that "auto" does not compare.

    Returns:
        The plan; deterministic given its arguments.

    Raises:
        ConfigError: The model lacks what the method needs; there is no such method.
        ReleaseError: Not even two patterns withstand the attacks.
    """
    file_people = people_per_file or _FILE_PEOPLE
    methods = asked_for(settings.method, model, settings.patterns, settings.fill, without)
    # Together on one ground, whose many people are gone before the plan is made of as many.
    ground = Ground(model, panel_dosage, settings, file_people)
    trials = [ground.hold(method, settings.patterns) for method in methods]
    del ground
    best = max(trials, key=_choice)
    chosen = settings.model_copy(update={"method": best.method})
    reason = _reason(settings, trials, best)

    def plan(panel: NDArray[np.int8], patterns: int) -> ReleasePlan:
        asked = chosen.model_copy(update={"patterns": patterns})
        untried = untried_plan(model, panel, asked, file_people)
        return replace(untried, reason=reason, trials=tuple(trials), expected=best.expected)

    if settings.target_rr is None:
        return plan(panel_dosage, best.asked)
    target = Target(settings.target_rr, rr or worst_attack(), file_people)
    return withstanding(plan, panel_dosage, best.asked, target)


def untried_plan(
    model: ScoredModel, panel: NDArray[np.int8], settings: ReleaseSettings, people_per_file: int
) -> ReleasePlan:
    """The patterns of one named method, as many as are asked for, without a look at what they are worth.

    Args:
        model: The trained model.
        panel: Panel dosages, [people, sites].
        settings: Method, patterns and groups; no target is kept.
        people_per_file: People of the smallest file to come.
    """
    method = METHODS.get(settings.method)
    people = learning_people(model, panel, method.mosaics(settings.patterns), near=method.many)
    share = settings.min_group_size / people_per_file
    return ReleasePlan(
        model=model,
        method=method.name,
        codebook=method.learn(model, people, method.contained(model, people), settings.patterns, share),
        min_group_size=settings.min_group_size,
        fill=settings.fill,
        reason=f"{method.name}, untried",
    )


def _choice(trial: Trial) -> tuple[float, int]:
    """What `max` takes: the most worth, then the fewest patterns."""
    return trial.preferred(trial.worth), -trial.patterns


def _told(trial: Trial) -> str:
    expected = f", {trial.worth:.2f} correlation with the trait expected" if trial.by_expectation else ""
    variance = f"{100 * trial.explained:.0f} % of the risk score's variance"
    return f"{trial.method}: {variance}{expected} with {trial.patterns} patterns"


def _methods(trials: list[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.method for trial in trials))


def _reason(settings: ReleaseSettings, trials: list[Trial], best: Trial) -> str:
    # Of every method the best of its trials: the others are in the plan.
    told = "; ".join(_told(max((t for t in trials if t.method == name), key=_choice)) for name in _methods(trials))
    chosen = "carries most of the risk score"
    if best.by_expectation:
        chosen = "expected to tell most of the trait"
        if all(trial.worth < LEAST_CORRELATION for trial in trials if trial.by_expectation):
            chosen = "expected to tell next to nothing of the trait, as every other method"
    if settings.method != AUTO:
        chosen = "asked for in the settings"
    elif len(_methods(trials)) == 1:
        chosen = "the only method of a model without a Masking Network"
    return f"{best.method}, {chosen}; held-out panel people in groups of {settings.min_group_size}: {told}"
