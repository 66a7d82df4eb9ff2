"""Membership inference on a release: is this person in the released file?

The attacker holds a reference profile of the person, the file, the public model and a public reference panel,
and gives every person a score. Members are the released people; non-members are panel people, genotyped with
the same errors. A panel person who is a non-member may not serve as reference at the same time (the reference
would give the answer away), so the panel is cut in two and each half is judged with the other as reference.

What is in the model is another question, that of differential privacy; this one is about the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Case, Float64, Int8, Knowledge, reference_profiles, row_blocks
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.attacks.scoring import blocks
from afml.evaluation.disclosure.beacon import BeaconPresence
from afml.evaluation.distinct import counted, distinct
from afml.evaluation.intervals import delong, placements

FALSE_POSITIVES = 0.01


@dataclass(frozen=True)
class Membership:
    """How well members are told from non-members.

    Attributes:
        auc: Area under the ROC curve of the worst attack; 0.5 is chance.
        tpr_at_low_fpr: Share of members found by the worst attack at a false-positive rate of at most
            `fpr`, each half of the panel apart and then averaged.
        fpr: That rate.
        auc_by_attack: AUC of each attack.
        tpr_by_attack: Share of members found by each attack.
        members: Number of members.
        non_members: Number of panel people.
        ci95: 95 % interval of `auc`, see `area`; None in results of before it was reckoned, and of one member.
    """

    auc: float
    tpr_at_low_fpr: float
    fpr: float
    auc_by_attack: dict[str, float]
    tpr_by_attack: dict[str, float]
    members: int
    non_members: int
    ci95: tuple[float, float] | None = None


class MembershipAttack(Protocol):
    """A way to tell members from others."""

    name: str

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: how likely each profile's owner is to be in the file; higher is likelier."""
        ...


class LikelihoodMembership:
    """log of the mean over records of P(record | profile) / P(record), sites taken as independent.

    The likelihood ratio of "one of the n records is this person's" against "none is" is 1 + (mean - 1), for
    records that are independent of each other.
    """

    name = "likelihood ratio"

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: scores of the profiles."""
        patterns, counts = counted(released)
        weight = np.log(counts / len(released))
        alone = np.log(np.einsum("sg,sgo->so", knowledge.frequencies, knowledge.channel))
        marginal = alone[np.arange(patterns.shape[1]), patterns.astype(np.int64) + 1].sum(axis=1)
        nobody = np.full(len(patterns), -1, dtype=np.int64)
        likelihood = RecordLikelihood(Case(patterns, profiles, nobody, knowledge))
        out = np.empty(len(profiles))
        for part in blocks(len(profiles), max(patterns.shape)):
            ratio = likelihood.block(part).astype(np.float64) - marginal[:, None] + weight[:, None]
            out[part] = logsumexp(ratio, axis=0)
        return np.round(out, 9)  # equal profiles tie


class PatternMembership:
    """Masker-aware: what the public model would release for the person, and how often that is in the file.

    log of (share of the file that shows the person's own pattern) / (share of the reference panel), one
    pseudo-person on either side.
    """

    name = "own pattern"

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: scores of the profiles."""
        own = knowledge.mask(knowledge.complete(profiles))
        patterns, counts = counted(released)
        _, group = distinct(np.concatenate([own, patterns, knowledge.released_panel]))
        mine, file, panel = np.split(group, np.cumsum([len(own), len(patterns)]))
        kinds = int(group.max()) + 1
        seen = (np.bincount(file, weights=counts, minlength=kinds) + 1) / (len(released) + 1)
        expected = (np.bincount(panel, minlength=kinds) + 1) / (len(panel) + 1)
        return np.asarray(np.log(seen[mine] / expected[mine]))


class FileFrequencies:
    """Homer et al. (2008): is the profile nearer to the file's mean dosage than to the panel's?

    Needs no model. Both means are of what is *shown*, so that a mask of everybody cancels.
    """

    name = "file frequencies"

    def score(self, released: Int8, profiles: Int8, knowledge: Knowledge) -> Float64:
        """float64[m]: scores of the profiles."""
        means = knowledge.frequencies @ np.arange(3)
        file, panel = (_shown(records) for records in (released, knowledge.released_panel))
        usable = ~(np.isnan(file) | np.isnan(panel))
        file, panel = np.where(usable, file, 0.0), np.where(usable, panel, 0.0)
        shift = file - panel
        # |x - panel|^2 - |x - file|^2, the quadratic form of Homer's distance, is linear in x.
        nearer = np.empty(len(profiles))
        for part in blocks(*profiles.shape):
            calls = np.where(profiles[part] < 0, means, profiles[part])
            nearer[part] = (calls - means) @ (2 * shift)
        return np.asarray(np.round(nearer - shift @ (file + panel - 2 * means), 9))


def _shown(records: Int8) -> Float64:
    """float64[S]: mean of what is shown at each site, NaN where nothing is."""
    total, shown = np.zeros(records.shape[1]), np.zeros(records.shape[1])
    for part in row_blocks(records):
        called = records[part] >= 0
        total += np.where(called, records[part], 0).sum(axis=0)
        shown += called.sum(axis=0)
    return np.divide(total, shown, out=np.full_like(total, np.nan), where=shown > 0)


def membership_suite() -> tuple[MembershipAttack, ...]:
    """Every membership attack."""
    return (LikelihoodMembership(), PatternMembership(), FileFrequencies(), BeaconPresence())


def auc(members: Float64, others: Float64) -> float:
    """P(member scores higher) + P(equal) / 2 (Mann, Whitney 1947)."""
    ranks = rankdata(np.concatenate([members, others]))[: len(members)]
    return float((ranks.sum() - len(members) * (len(members) + 1) / 2) / (len(members) * len(others)))


def tpr_at(members: Float64, others: Float64, fpr: float) -> float:
    """Share of members above the lowest threshold that at most a share `fpr` of the others exceeds."""
    allowed = int(np.floor(fpr * len(others)))
    threshold = np.sort(others)[::-1][allowed]  # at most `allowed` of the others lie strictly above
    return float((members > threshold).mean())


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of one attack with one half of the panel as its reference.

    Attributes:
        attack: Its name.
        members: float64[n], of the released people.
        others: float64[m], of the panel people of the other half.
        people: int64[n], whose those of the members are, among all released people.
        outside: int64[m], rows in the panel of the others.
    """

    attack: str
    members: Float64
    others: Float64
    people: NDArray[np.int64]
    outside: NDArray[np.int64]


def judge(
    released: Int8,
    references: Int8,
    knowledge: Knowledge,
    attacks: Sequence[MembershipAttack] | None = None,
    *,
    seed: int = 0,
    people: NDArray[np.int64] | None = None,
) -> list[Judged]:
    """Score members and non-members.

    Args:
        released: int8[n, S], the records.
        references: int8[n, S], reference profiles of released people.
        knowledge: What is public; its panel supplies the non-members.
        attacks: By default `membership_suite()`.
        seed: Of the cut of the panel and of genotyping errors.
        people: int64[n], who these are among all released people; by default all of them.

    Returns:
        Every attack with each half of the panel.

    Raises:
        InputError: A panel of fewer than four people.
    """
    if len(knowledge.panel) < 4:
        raise InputError("membership needs a panel of at least 4 people", cure="use a larger panel")
    suite = membership_suite() if attacks is None else attacks
    rng = np.random.default_rng([seed, 0x3E])
    order = rng.permutation(len(knowledge.panel))
    halves: tuple[NDArray[np.int64], ...] = tuple(np.array_split(order, 2))
    who = np.arange(len(references)) if people is None else people
    found = []
    for reference, outside in (halves, halves[::-1]):
        known = replace(knowledge, panel=knowledge.panel[reference])
        error, missing = knowledge.genotype_error, knowledge.reference_missing
        strangers = reference_profiles(
            knowledge.panel[outside], knowledge.frequencies, error=error, missing=missing, rng=rng
        )
        everybody = np.concatenate([references, strangers])
        for attack in suite:
            score = attack.score(released, everybody, known)
            found.append(Judged(attack.name, score[: len(references)], score[len(references) :], who, outside))
    return found


def measured(judged: Sequence[Judged], fpr: float = FALSE_POSITIVES) -> Membership:
    """How well members are told from non-members.

    Args:
        judged: From `judge`.
        fpr: False-positive rate at which members are counted.
    """
    areas: dict[str, list[float]] = {one.attack: [] for one in judged}
    found: dict[str, list[float]] = {one.attack: [] for one in judged}
    for one in judged:
        areas[one.attack].append(auc(one.members, one.others))
        found[one.attack].append(tpr_at(one.members, one.others, fpr))
    by_auc = {name: float(np.mean(values)) for name, values in areas.items()}
    worst = max(by_auc, key=lambda name: by_auc[name])
    spread = area([one for one in judged if one.attack == worst]) if len(judged[0].members) > 1 else None
    by_tpr = {name: float(np.mean(values)) for name, values in found.items()}
    others = len(np.unique(np.concatenate([one.outside for one in judged])))
    return Membership(
        by_auc[worst], max(by_tpr.values()), fpr, by_auc, by_tpr, len(judged[0].members), others,
        None if spread is None else spread[1],
    )  # fmt: skip


def area(
    halves: Sequence[Judged], members: NDArray[np.bool_] | None = None, others: NDArray[np.bool_] | None = None
) -> tuple[float, tuple[float, float]] | None:
    """AUC of one attack over both halves of the panel, and its 95 % interval after DeLong et al. (1988).

    People are taken as independent, which those with equal records are not, and that the worst of several attacks was
    picked on the same people is not in the interval.

    Args:
        halves: What the attack gave with each half as its reference.
        members: bool[n], which members count; at least two. By default all of them.
        others: bool[p], which panel people do. By default all of them.

    Returns:
        None where no panel person counts.
    """
    over_others, over_members = [], []
    for half in halves:
        mine = half.members if members is None else half.members[members]
        theirs = half.others if others is None else half.others[others[half.outside]]
        if len(theirs):
            over_others.append(placements(mine, theirs))
            over_members.append(1 - placements(theirs, mine))
    if not over_others:
        return None
    return delong(np.mean(over_others, axis=0), np.concatenate(over_members))


def infer_membership(
    released: Int8,
    references: Int8,
    knowledge: Knowledge,
    attacks: Sequence[MembershipAttack] | None = None,
    *,
    fpr: float = FALSE_POSITIVES,
    seed: int = 0,
) -> Membership:
    """Attack a release: `judge`, then `measured`."""
    return measured(judge(released, references, knowledge, attacks, seed=seed), fpr)
