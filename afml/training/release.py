"""Releases: plan on the panel which patterns there are, then apply the plan to a file.

All methods share one form, a codebook whose patterns a record must contain:

* "codebook": patterns are common genotypes, chosen together so that who takes which says most of the score.
* "network": patterns are what the Masking Network shows of public people (several sites at once, or parts of
  it); a person may take only what the network keeps of the person's own record.
* "greedy": a baseline, single genotypes of the strongest and the most common sites (afml.training.greedy).

"auto" plans codebook and network on one half of the panel and compares them on the other half, at the group
size asked for. Private people have no part in the choice. What is released is protected by masking and group
size, not by differential privacy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, ReleaseError
from afml.core.run import ReleaseSettings
from afml.training.codebook import Codebook
from afml.training.grouping import assign_groups, entropy_bits
from afml.training.model import TrainedModel
from afml.training.patterns import Method, contained, learn_patterns, public_rng, with_mosaics

__all__ = ["Method", "PanelCase", "ReleasePlan", "Released", "Trial", "apply_plan", "mask_alone", "plan_release"]

#: People of one file that groups are planned for, where the caller names no number.
_FILE_PEOPLE = 400
#: Candidates of the attacks that a plan must withstand before it is used.
_VERIFICATION_PEOPLE = 2000


@dataclass(frozen=True)
class Trial:
    """One method on the held-out half of the panel.

    Attributes:
        method: The method.
        explained: Share of the risk score's variance that the released patterns carry, in [0, 1]; the mean over
            scores where there are several.
        patterns: Patterns in use.
        rr_bound: Patterns over people, an attacker's expected top-1 success at most.
    """

    method: Method
    explained: float
    patterns: int
    rr_bound: float


@dataclass(frozen=True)
class ReleasePlan:
    """All that is needed to mask a file. Public: made from the panel and the DP-trained model only.

    Attributes:
        model: The trained model.
        method: How patterns are found and taken.
        codebook: The patterns.
        min_group_size: k of every released file.
        fill: What a masked genotype becomes: "major" (0, homozygous panel-major) or "missing" (-1).
        reason: Why this method, in words.
        trials: The comparison on held-out panel people.
        verified: (patterns, re-identification rate) of each attacked plan, the accepted one last.
    """

    model: TrainedModel
    method: Method
    codebook: Codebook
    min_group_size: int
    fill: Literal["major", "missing"]
    reason: str
    trials: tuple[Trial, ...] = ()
    verified: tuple[tuple[int, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the model (its digest stands for it)."""
        return {
            "model": self.model.digest(),
            "method": self.method,
            "sites": self.codebook.sites,
            "patterns": [[list(genotype) for genotype in pattern] for pattern in self.codebook.patterns],
            "centroids": self.codebook.centroids.tolist(),
            "min_group_size": self.min_group_size,
            "fill": self.fill,
            "reason": self.reason,
            "trials": [vars(trial) for trial in self.trials],
            "verified": [list(attempt) for attempt in self.verified],
        }

    @classmethod
    def from_dict(cls, model: TrainedModel, stored: dict[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: The plan was made for another model.
        """
        if stored["model"] != model.digest():
            raise ConfigError("the release plan was made for another model", cure="plan the release again")
        patterns = tuple(tuple((int(s), int(v)) for s, v in pattern) for pattern in stored["patterns"])
        centroids = np.array(stored["centroids"], dtype=np.float64).reshape(len(patterns), -1)
        return cls(
            model=model,
            method=stored["method"],
            codebook=Codebook(stored["sites"], patterns, centroids),
            min_group_size=stored["min_group_size"],
            fill=stored["fill"],
            reason=stored["reason"],
            trials=tuple(Trial(**trial) for trial in stored["trials"]),
            verified=tuple((int(patterns), float(rr)) for patterns, rr in stored["verified"]),
        )


@dataclass(frozen=True)
class Released:
    """One released file.

    Attributes:
        dosage: Released records; masked is 0 or -1 by the plan's fill, [people, sites].
        patterns: Pattern index per person, [people].
        group_sizes: People per pattern of the plan, [J]; 0 where unused, else at least k.
        method: The plan's method.
        retained_fraction: Share of all called non-major genotypes that is still shown.
        entropy_bits: Entropy of the pattern of a random person, bits.
    """

    dosage: NDArray[np.int8]
    patterns: NDArray[np.int64]
    group_sizes: NDArray[np.int64]
    method: Method
    retained_fraction: float
    entropy_bits: float

    @property
    def min_group_size(self) -> int:
        """Size of the smallest group in the file."""
        return int(self.group_sizes[self.group_sizes > 0].min())

    @property
    def patterns_used(self) -> int:
        """Patterns that occur in the file."""
        return int(np.count_nonzero(self.group_sizes))


@dataclass(frozen=True)
class PanelCase:
    """A release of public people, for the attack suite to break before any private record is released.

    Attributes:
        dosage: Held-out panel people and mosaics of them, the candidates, [people, sites].
        released: Their released records, in the same order, made in files of the planned size, [people, sites].
        panel: The panel people that the patterns were learned from; the attacker has them too.
        mask: What the plan shows of anybody; public.
        fill: What a masked genotype looks like.
    """

    dosage: NDArray[np.int8]
    released: NDArray[np.int8]
    panel: NDArray[np.int8]
    mask: Callable[[NDArray[np.int8]], NDArray[np.int8]]
    fill: Literal["major", "missing"]


def plan_release(
    model: TrainedModel,
    panel_dosage: NDArray[np.int8],
    settings: ReleaseSettings,
    *,
    people_per_file: int | None = None,
    rr: Callable[[PanelCase], float] | None = None,
) -> ReleasePlan:
    """Choose method and patterns from public data.

    With `settings.target_rr` the plan is attacked first: learned on one half of the panel, applied to the other
    half and mosaics of it, with fewer patterns each time until `rr` is at most the target.

    Args:
        model: The trained model.
        panel_dosage: Panel dosages, [people, sites].
        settings: How records are released.
        people_per_file: People of the smallest file to come (public); groups are planned for it.
        rr: Re-identification rate of the worst attack on a case, in [0, 1].

    Returns:
        The plan; deterministic given its arguments.

    Raises:
        ConfigError: `method = "network"` and the model has no Masking Network; a target and no `rr`.
        ReleaseError: Not even two patterns withstand the attacks.
    """
    file_people = people_per_file or _FILE_PEOPLE
    has_network = len(model.game) > 0
    if settings.method == "network" and not has_network:
        raise ConfigError("the model was trained without a game", cure="use release method 'codebook'")
    methods: list[Method] = ["codebook", "network"] if has_network else ["codebook"]
    if settings.method != "auto":
        methods = [settings.method]
    trials = tuple(_trial(model, panel_dosage, settings, method, file_people) for method in methods)
    best = max(trials, key=_explained)
    share = settings.min_group_size / file_people

    def plan(panel: NDArray[np.int8], patterns: int) -> ReleasePlan:
        return ReleasePlan(
            model=model,
            method=best.method,
            codebook=learn_patterns(model, panel, patterns, share, best.method),
            min_group_size=settings.min_group_size,
            fill=settings.fill,
            reason=_reason(settings, trials, best),
            trials=trials,
        )

    if settings.target_rr is None:
        return plan(panel_dosage, settings.patterns)
    if rr is None:
        raise ConfigError("a target for the re-identification rate needs an attack suite to check it")
    verified: list[tuple[int, float]] = []
    patterns = settings.patterns
    while patterns >= 2:
        found = rr(_panel_case(plan(panel_dosage[::2], patterns), panel_dosage, file_people))
        verified.append((patterns, round(found, 6)))
        if found <= settings.target_rr:
            return replace(plan(panel_dosage, patterns), verified=tuple(verified))
        patterns = patterns * 4 // 5 if patterns > 2 else 1
    raise ReleaseError(
        f"attacks on held-out panel people reach {100 * verified[-1][1]:.2g} % with two patterns, the target is "
        f"{100 * settings.target_rr:.2g} %",
        cure="raise target_rr, or release more people together",
    )


def _panel_case(plan: ReleasePlan, panel: NDArray[np.int8], file_people: int) -> PanelCase:
    """Release the odd panel people and mosaics of them by a plan that was learned on the even ones."""
    held_out = panel[1::2]
    people = with_mosaics(held_out, _VERIFICATION_PEOPLE - len(held_out), public_rng(plan.model, "verification"))
    files = np.array_split(people, max(1, len(people) // file_people))
    released = np.concatenate([apply_plan(plan, file).dosage for file in files])
    return PanelCase(people, released, panel[::2], lambda dosage: mask_alone(plan, dosage), plan.fill)


def apply_plan(plan: ReleasePlan, dosage: NDArray[np.int8]) -> Released:
    """Mask the people of one file.

    Args:
        plan: The plan.
        dosage: Everybody in the file, [people, sites].

    Raises:
        ReleaseError: Fewer people than the minimum group size.
    """
    source = contained(plan.model, dosage, plan.method)
    assigned = assign_groups(plan.codebook, source, plan.model.risk_score(dosage), plan.min_group_size)
    released = plan.codebook.show(assigned, 0 if plan.fill == "major" else -1)
    return Released(
        dosage=released,
        patterns=assigned,
        group_sizes=np.bincount(assigned, minlength=len(plan.codebook.patterns)),
        method=plan.method,
        retained_fraction=int((released > 0).sum()) / max(1, int((dosage > 0).sum())),
        entropy_bits=entropy_bits(assigned),
    )


def mask_alone(plan: ReleasePlan, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the plan would release of each person apart from any file, before groups are merged.

    It is public, so it is what an attacker computes from a candidate's reference profile.

    Args:
        plan: The plan.
        dosage: Anybody, [people, sites].

    Returns:
        int8 [people, sites].
    """
    source = contained(plan.model, dosage, plan.method)
    assigned = plan.codebook.assign(source, plan.model.risk_score(dosage))
    return plan.codebook.show(assigned, 0 if plan.fill == "major" else -1)


def _trial(
    model: TrainedModel, panel: NDArray[np.int8], settings: ReleaseSettings, method: Method, file_people: int
) -> Trial:
    """Learn on the panel's even people, judge on the odd ones at the same group share."""
    learned, held_out = panel[::2], panel[1::2]
    share = settings.min_group_size / file_people
    codebook = learn_patterns(model, learned, settings.patterns, share, method)
    score = model.risk_score(held_out).reshape(len(held_out), -1)  # [people, scores]
    size = max(1, round(share * len(held_out)))
    assigned = assign_groups(codebook, contained(model, held_out, method), score, min(size, len(held_out)))
    spread = score.var(axis=0)
    error = ((score - _group_means(score, assigned)) ** 2).mean(axis=0)
    explained = float(np.mean(1.0 - error[spread > 0] / spread[spread > 0])) if spread.any() else 0.0
    used = int(np.count_nonzero(np.bincount(assigned)))
    return Trial(method, round(explained, 6), used, used / len(held_out))


def _group_means(score: NDArray[np.float64], assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean score of each person's group, [people, scores]."""
    sums = np.zeros((int(assigned.max()) + 1, score.shape[1]))
    np.add.at(sums, assigned, score)
    means: NDArray[np.float64] = sums / np.maximum(np.bincount(assigned), 1)[:, None]
    return means[assigned]


def _explained(trial: Trial) -> float:
    return trial.explained


def _reason(settings: ReleaseSettings, trials: tuple[Trial, ...], best: Trial) -> str:
    told = "; ".join(
        f"{t.method}: {100 * t.explained:.0f} % of the risk score's variance with {t.patterns} patterns" for t in trials
    )
    chosen = "asked for in the settings" if settings.method != "auto" else "carries most of the risk score"
    if settings.method == "auto" and len(trials) == 1:
        chosen = "the only method of a model without a Masking Network"
    return f"{best.method}, {chosen}; held-out panel people in groups of {settings.min_group_size}: {told}"
