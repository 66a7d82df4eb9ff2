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
from afml.evaluation.rr import ReIdentification, interval

CLUSTERS, COMPONENTS = 5, 4
#: The worst group's RR may be this many times the mean before the report points at it.
ALLOWED = 2.0


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
    """

    name: str
    people: int
    rr: float
    ci95: tuple[float, float]
    membership: Advantage | None
    rr_known_institution: float | None = None
    rr_known_institution_ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class ByGroup:
    """All groups, the one with the highest RR first.

    Attributes:
        inferred: Whether groups are clusters of genotypes.
        groups: Those with released people.
        mean_rr: RR over everybody.
        ratio: RR of the first over the mean; 1 where nobody is recognised at all.
    """

    inferred: bool
    groups: tuple[GroupRisk, ...]
    mean_rr: float
    ratio: float

    @property
    def even(self) -> bool:
        """Whether the first group's RR is at most `ALLOWED` times the mean."""
        return self.ratio <= ALLOWED


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


def by_group(labels: Labels, linked: ReIdentification, judged: list[Judged]) -> ByGroup:
    """RR and membership of each group.

    Args:
        labels: Who belongs to which.
        linked: Records linked to people.
        judged: Scores of the membership attacks.

    Raises:
        InputError: A label for each person is missing.
    """
    if linked.people.max(initial=-1) >= len(labels.people):
        raise InputError("groups and records do not match", cure="label every released person")
    of_record, groups = labels.people[linked.people], []
    for number, name in enumerate(labels.names):
        inside = of_record == number
        if inside.any():
            worst, home = (_worst(success, inside) for success in (linked.success, linked.success_at_home))
            assert worst is not None
            known = (None, None) if home is None else home
            groups.append(GroupRisk(name, int(inside.sum()), *worst, _advantage(labels, number, judged), *known))
    groups.sort(key=lambda group: -group.rr)
    ratio = groups[0].rr / linked.rr if linked.rr > 0 else 1.0
    return ByGroup(labels.inferred, tuple(groups), linked.rr, ratio)


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
