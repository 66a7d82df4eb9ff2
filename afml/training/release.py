"""Releases: plan on the panel which patterns there are, then apply the plan to a file.

Two methods share one form, a codebook whose patterns a record must contain:

* "codebook": patterns are single genotypes, chosen greedily; a person may take any that the genome contains.
* "network": patterns are what the Masking Network shows of public people (several sites at once, or parts of
  it); a person may take only what the network keeps of the person's own record.

"auto" plans both on one half of the panel and compares them on the other half, at the group size asked for.
Private people have no part in the choice. What is released is protected by masking and group size, not by
differential privacy.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.core.run import ReleaseSettings
from afml.training.codebook import Codebook, Pattern, learn, learn_single
from afml.training.grouping import assign_groups, entropy_bits
from afml.training.lineup import mosaics
from afml.training.model import TrainedModel

Method = Literal["codebook", "network"]
_MOSAICS = 4000
_MOSAIC_GENOTYPES = 100_000_000
_NETWORK_POOL = 200
#: Records that show more than this offer single genotypes only.
_PAIRED_GENOTYPES = 16
#: People of one file that groups are planned for, where the caller names no number.
_FILE_PEOPLE = 400


@dataclass(frozen=True)
class Trial:
    """One method on the held-out half of the panel.

    Attributes:
        method: The method.
        explained: Share of the risk score's variance that the released patterns carry, in [0, 1].
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
    """

    model: TrainedModel
    method: Method
    codebook: Codebook
    min_group_size: int
    fill: Literal["major", "missing"]
    reason: str
    trials: tuple[Trial, ...] = ()

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


def plan_release(
    model: TrainedModel,
    panel_dosage: NDArray[np.int8],
    settings: ReleaseSettings,
    *,
    people_per_file: int | None = None,
) -> ReleasePlan:
    """Choose method and patterns from public data.

    Args:
        model: The trained model.
        panel_dosage: Panel dosages, [people, sites].
        settings: How records are released.
        people_per_file: People of the smallest file to come (public); groups are planned for it.

    Returns:
        The plan; deterministic given its arguments.

    Raises:
        ConfigError: `method = "network"` and the model has no Masking Network.
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
    return ReleasePlan(
        model=model,
        method=best.method,
        codebook=_learn(model, panel_dosage, settings.patterns, share, best.method),
        min_group_size=settings.min_group_size,
        fill=settings.fill,
        reason=_reason(settings, trials, best),
        trials=trials,
    )


def apply_plan(plan: ReleasePlan, dosage: NDArray[np.int8]) -> Released:
    """Mask the people of one file.

    Args:
        plan: The plan.
        dosage: Everybody in the file, [people, sites].

    Raises:
        ReleaseError: Fewer people than the minimum group size.
    """
    contained = _contained(plan.model, dosage, plan.method)
    assigned = assign_groups(plan.codebook, contained, plan.model.risk_score(dosage), plan.min_group_size)
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
    contained = _contained(plan.model, dosage, plan.method)
    assigned = plan.codebook.assign(contained, plan.model.risk_score(dosage))
    return plan.codebook.show(assigned, 0 if plan.fill == "major" else -1)


def _contained(model: TrainedModel, dosage: NDArray[np.int8], method: Method) -> NDArray[np.int8]:
    return dosage if method == "codebook" else model.network_release(dosage)


def _learn(
    model: TrainedModel, panel: NDArray[np.int8], patterns: int, share: float, method: Method
) -> Codebook:
    seed = hashlib.sha256(b"release plan" + model.digest().encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:16], "little"))
    count = max(0, min(_MOSAICS, _MOSAIC_GENOTYPES // panel.shape[1] - len(panel)))
    public = np.concatenate([panel, mosaics(panel, count, rng)])
    score = model.risk_score(public)
    if method == "codebook":
        return learn_single(public, score, model.weights, patterns=patterns, min_share=share)
    shown = model.network_release(public)
    return learn(shown, score, _network_patterns(shown), patterns=patterns, min_share=share)


def _network_patterns(shown: NDArray[np.int8]) -> list[Pattern]:
    """What the network shows of public people: whole patterns, pairs, genotypes; most frequent first."""
    counts: Counter[Pattern] = Counter()
    for row in shown:
        sites = np.flatnonzero(row > 0)
        whole = tuple((int(site), int(row[site])) for site in sites)
        parts: set[Pattern] = {(genotype,) for genotype in whole}
        if len(whole) <= _PAIRED_GENOTYPES:
            parts |= {whole} | {(a, b) for i, a in enumerate(whole) for b in whole[i + 1 :]}
        counts.update(parts - {()})
    return [
        pattern for pattern, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NETWORK_POOL]
    ]


def _trial(
    model: TrainedModel, panel: NDArray[np.int8], settings: ReleaseSettings, method: Method, file_people: int
) -> Trial:
    """Learn on the panel's even people, judge on the odd ones at the same group share."""
    learned, held_out = panel[::2], panel[1::2]
    share = settings.min_group_size / file_people
    codebook = _learn(model, learned, settings.patterns, share, method)
    score = model.risk_score(held_out)
    size = max(1, round(settings.min_group_size / file_people * len(held_out)))
    assigned = assign_groups(codebook, _contained(model, held_out, method), score, min(size, len(held_out)))
    spread = float(np.mean((score - score.mean()) ** 2))
    error = float(np.mean((score - _group_means(score, assigned)) ** 2))
    used = int(np.count_nonzero(np.bincount(assigned)))
    explained = 1.0 - error / spread if spread > 0 else 0.0
    return Trial(method, round(explained, 6), used, used / len(held_out))


def _group_means(score: NDArray[np.float64], assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.maximum(np.bincount(assigned), 1).astype(np.float64)
    means: NDArray[np.float64] = np.bincount(assigned, weights=score) / sizes
    return means[assigned]


def _explained(trial: Trial) -> float:
    return trial.explained


def _reason(settings: ReleaseSettings, trials: tuple[Trial, ...], best: Trial) -> str:
    told = "; ".join(
        f"{t.method}: {100 * t.explained:.0f} % of the risk score's variance with {t.patterns} patterns"
        for t in trials
    )
    chosen = "asked for in the settings" if settings.method != "auto" else "carries most of the risk score"
    if settings.method == "auto" and len(trials) == 1:
        chosen = "the only method of a model without a Masking Network"
    return f"{best.method}, {chosen}; held-out panel people in groups of {settings.min_group_size}: {told}"
