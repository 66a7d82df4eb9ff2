"""Whom a mean hides: re-identification and membership by group of people, of ancestry for instance.

Sites, risk models and patterns are chosen where most of the panel's people are; a group that is small in the panel
may show rarer patterns, or stand further from the people it is compared with. Where nobody says who belongs to which
group, people are clustered by the panel's principal components: that is ancestry as far as these sites show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64, Int8, Knowledge
from afml.evaluation.disclosure.membership import Judged, area
from afml.evaluation.distinct import distinct
from afml.evaluation.rr import ReIdentification, interval

CLUSTERS, COMPONENTS = 5, 4
#: The worst group's RR may be this many times the mean before the report points at it.
ALLOWED = 2.0
#: Random divisions of the records that say what chance alone makes of the worst group, and the share of them below it.
DIVISIONS, MOST = 400, 0.95


@dataclass(frozen=True, eq=False)
class Labels:
    """Who belongs to which group.

    Attributes:
        names: Of the groups.
        people: int64[n], the group of each private person; -1 where unknown.
        panel: int64[p], the same of panel people.
        inferred: Whether groups are clusters of genotypes and not what somebody said.
    """

    names: tuple[str, ...]
    people: NDArray[np.int64]
    panel: NDArray[np.int64]
    inferred: bool = False


@dataclass(frozen=True)
class Advantage:
    """How well members of one group are told from panel people of the same group.

    Attributes:
        auc: Of the attack that does best in this group; 0.5 is chance.
        ci95: Its 95 % interval.
        members: Members of the group.
        non_members: Panel people of the group.
    """

    auc: float
    ci95: tuple[float, float]
    members: int
    non_members: int


@dataclass(frozen=True)
class GroupRisk:
    """One group of people.

    Attributes:
        name: Of the group.
        people: Attacked records of its people.
        rr: Mean success of the attack that does best in this group, among all candidates.
        ci95: Its 95 % interval.
        membership: Of the group; None where panel or release has fewer than two of its people.
        rr_known_institution: As `rr`, among the candidates of the record's own file; None where that was not asked.
        rr_known_institution_ci95: Its 95 % interval; None likewise.
        rr_among_equals: Its mean success where the name of each record is drawn among the people whose released records
            are equal to it: what the release itself, not an attack's taste, gives this group; None where not asked.
    """

    name: str
    people: int
    rr: float
    ci95: tuple[float, float]
    membership: Advantage | None
    rr_known_institution: float | None = None
    rr_known_institution_ci95: tuple[float, float] | None = None
    rr_among_equals: float | None = None


@dataclass(frozen=True)
class ByGroup:
    """All groups, the one with the highest RR first.

    Attributes:
        inferred: Whether groups are clusters of genotypes.
        groups: Those with released people.
        mean_rr: RR over everybody.
        ratio: RR of the first over the mean; 1 where nobody is recognised at all.
        ratio_by_chance: What `ratio` is at most for 95 of 100 random divisions of the same records into groups of
            these sizes, judged in the same way; None in reports of versions that did not ask.
        mean_among_equals: `GroupRisk.rr_among_equals` of everybody, patterns over people; None where not asked.
    """

    inferred: bool
    groups: tuple[GroupRisk, ...]
    mean_rr: float
    ratio: float
    ratio_by_chance: float | None = None
    mean_among_equals: float | None = None

    @property
    def even(self) -> bool:
        """Whether the first group's RR is at most `ALLOWED` times the mean."""
        return self.ratio <= ALLOWED

    @property
    def why(self) -> str:
        """Where the first group's rate comes from, in words; empty where it was not asked."""
        equals = self.groups[0].rr_among_equals
        if equals is None or not self.mean_among_equals:
            return ""
        of_mean = equals / self.mean_among_equals
        few = "its people share their records with few"
        told = few if of_mean > ALLOWED else "of those who show the same, attacks name its people"
        return f"{told}; names drawn among equal records give it {of_mean:.1f} times"

    @property
    def by_chance(self) -> str:
        """What chance alone would make of it, in words; empty where it was not asked."""
        if self.ratio_by_chance is None:
            return ""
        told = f"the worst random group of such sizes is within {self.ratio_by_chance:.1f} times in 95 of 100 draws"
        return told if self.ratio > self.ratio_by_chance else f"{told}: no more than chance makes of few names"


def labelled(people: list[str | None], panel: list[str | None]) -> Labels:
    """Groups that somebody named; None: unknown.

    Raises:
        InputError: Nobody belongs to any.
    """
    names = tuple(sorted({name for name in people if name is not None}))
    if not names:
        raise InputError("nobody of the release is in a group", cure="name groups of the people who were released")
    number = {name: index for index, name in enumerate(names)}

    def rows(given: list[str | None]) -> NDArray[np.int64]:
        return np.array([-1 if name is None else number.get(name, -1) for name in given], dtype=np.int64)

    return Labels(names, rows(people), rows(panel))


def clustered(people: Int8, knowledge: Knowledge, seed: int = 0) -> Labels:
    """Groups by k-means on the first principal components of the panel, numbered from the largest.

    Args:
        people: int8[n, S], the private people.
        knowledge: Holds the panel.
        seed: Of the first centres.
    """
    panel = knowledge.complete_panel
    centre, scale = panel.mean(axis=0), np.maximum(panel.std(axis=0), 1e-6)
    components = min(COMPONENTS, *panel.shape)
    fitted = PCA(components, svd_solver="full").fit((panel - centre) / scale)
    axes = fitted.components_.T / scale[:, None]
    known = (panel - centre) @ axes
    clusters = KMeans(min(CLUSTERS, len(np.unique(known, axis=0))), n_init=4, random_state=seed).fit(known)
    order = np.argsort(-np.bincount(clusters.labels_), kind="stable")
    rank = np.argsort(order)
    found = np.empty(len(people), dtype=np.int64)
    for start in range(0, len(people), 4096):
        part = slice(start, start + 4096)
        found[part] = rank[clusters.predict((knowledge.complete(people[part]) - centre) @ axes)]
    names = tuple(f"cluster {number}" for number in range(1, len(order) + 1))
    return Labels(names, found, rank[clusters.labels_], inferred=True)


def by_group(
    labels: Labels, linked: ReIdentification, judged: list[Judged], released: Int8 | None = None, seed: int = 0
) -> ByGroup:
    """RR and membership of each group.

    Args:
        labels: Who belongs to which.
        linked: Records linked to people.
        judged: Scores of the membership attacks.
        released: int8[n, S], the record of each person; None where nobody asks what equal records give.
        seed: Of the random divisions beside the groups.

    Raises:
        InputError: A label for each person is missing.
    """
    if linked.people.max(initial=-1) >= len(labels.people):
        raise InputError("groups and records do not match", cure="label every released person")
    of_record, groups = labels.people[linked.people], []
    equals = None if released is None else _among_equals(released)[linked.people]
    for number, name in enumerate(labels.names):
        inside = of_record == number
        if inside.any():
            worst, home = (_worst(success, inside) for success in (linked.success, linked.success_at_home))
            assert worst is not None
            known, known_ci95 = (None, None) if home is None else home
            drawn = None if equals is None else float(equals[inside].mean())
            apart = _advantage(labels, number, judged)
            groups.append(GroupRisk(name, int(inside.sum()), *worst, apart, known, known_ci95, drawn))
    groups.sort(key=lambda group: -group.rr)
    ratio = groups[0].rr / linked.rr if linked.rr > 0 else 1.0
    by_chance = _by_chance(of_record, linked, seed)
    mean = None if equals is None else float(equals.mean())
    return ByGroup(labels.inferred, tuple(groups), linked.rr, ratio, by_chance, mean)


def _among_equals(released: Int8) -> Float64:
    """float64[n], one over the number of records equal to each."""
    _, index = distinct(released)
    return 1 / np.bincount(index)[index]


def _by_chance(of_record: NDArray[np.int64], linked: ReIdentification, seed: int) -> float:
    """The worst group's RR over the mean that random groups of the same sizes seldom exceed.

    A release of few patterns names few people, so that somebody's group always has more of them than its share. Groups
    are dealt anew among the labelled records: a permutation test (Fisher 1935) of whether groups matter.

    Args:
        of_record: int64[records], group of each attacked record; -1 where unknown.
        linked: Success of each attack on these records.
        seed: Of the divisions.
    """
    known = of_record >= 0
    success = np.stack([values[known] for values in linked.success.values()])  # [attacks, records]
    sizes = np.bincount(of_record[known])
    sizes = sizes[sizes > 0]
    if linked.rr <= 0 or not len(sizes):
        return 1.0
    starts, rng = np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.random.default_rng([seed, 0x6F])
    worst = [
        float((np.add.reduceat(rng.permutation(success, axis=1), starts, axis=1) / sizes).max())
        for _ in range(DIVISIONS)
    ]
    return float(np.quantile(worst, MOST)) / linked.rr


def _worst(success: Mapping[str, Float64], inside: NDArray[np.bool_]) -> tuple[float, tuple[float, float]] | None:
    """Rate of the attack that does best on some records, and its 95 % interval."""
    of_each = [values[inside] for values in success.values()]
    worst = max(of_each, key=lambda one: float(one.mean()), default=None)
    return None if worst is None else (float(worst.mean()), interval(worst))


def _advantage(labels: Labels, number: int, judged: list[Judged]) -> Advantage | None:
    members, others = labels.people[judged[0].people] == number, labels.panel == number
    if members.sum() < 2 or others.sum() < 2:
        return None
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.attack, []).append(one)
    areas = [area(halves, members, others) for halves in found.values()]
    usable = [one for one in areas if one is not None]
    if not usable:
        return None
    auc, ci95 = max(usable)
    return Advantage(auc, ci95, int(members.sum()), int(others.sum()))
