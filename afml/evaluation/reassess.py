"""A file that was released long ago, attacked again: with today's attacks, and with what has become public since.

The file does not change; what attackers know does. Everything is asked twice, of somebody who has the panel of the run
alone, and of somebody who has all public people of today, so that what time took away can be told from what was never
there. A relative who became public is asked about alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.again import TwoReleases, joint_groups, two_releases
from afml.evaluation.attacks import Attack, Case, Knowledge, ReleaseFunction, full_suite, reference_profiles
from afml.evaluation.attacks.base import Int8
from afml.evaluation.disclosure import Membership, infer_membership
from afml.evaluation.disclosure.recovery import Recovery, recover
from afml.evaluation.harder import attackers
from afml.evaluation.inputs import OtherRelease
from afml.evaluation.kin import NamedByKin, named_by_kin
from afml.evaluation.limits import LIMITS, chosen
from afml.evaluation.rr import Patterns, attack_all, describe

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Kin:
    """Relatives who became public.

    Attributes:
        dosage: int8[r, S], their genotypes.
        record: int64[r], the record of whom each is a relative.
        degree: int64[r], 1 child or parent, 2 grandchild, half-sibling, uncle or niece, 3 first cousin.
    """

    dosage: Int8
    record: NDArray[np.int64]
    degree: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OlderFile:
    """Another file about people of this one.

    Attributes:
        name: Its run.
        records: Rows of this file, int64[c], whose people are in both.
        released: int8[c, S], what the other one shows of them.
        mask: Its public release function.
    """

    name: str
    records: NDArray[np.int64]
    released: Int8
    mask: ReleaseFunction


@dataclass(frozen=True, eq=False)
class ReleasedFile:
    """One released file and what is public today.

    Attributes:
        released: int8[n, S], its records, -1 = './.'.
        truth: int64[n], the row of `dosage` of each record's person; -1: not at hand any more.
        dosage: int8[m, S], everybody at the institution: the candidates.
        panel: int8[p, S], the public panel of the run.
        since: int8[q, S], further public people of today.
        mask: The public release function.
        fill: What a masked genotype shows.
        kin: Relatives who became public.
        others: Other files about the same people.
        genotype_error: Error rate of reference profiles (and share of calls missing).
        seed: Of reference profiles and made-up people.
        trained: Whether attacks are made that are trained first; they take longest.
    """

    released: Int8
    truth: NDArray[np.int64]
    dosage: Int8
    panel: Int8
    since: Int8
    mask: ReleaseFunction
    fill: Literal["major", "missing"]
    kin: Kin | None = None
    others: tuple[OlderFile, ...] = ()
    genotype_error: float = 0.01
    seed: int = 1
    trained: bool = True


@dataclass(frozen=True)
class Threat:
    """What an attacker with some public people reaches.

    Attributes:
        public_people: Panel people that the attacker has.
        records: Records that were attacked: all whose people are at hand, or a sample of them.
        rr: Mean success of the worst attack among the institution's people.
        ci95: Its 95 % interval.
        by_attack: Of each attack.
        membership: Whether a person is in the file.
        recovery: Genotypes that follow from a record.
    """

    public_people: int
    records: int
    rr: float
    ci95: tuple[float, float]
    by_attack: dict[str, float]
    membership: Membership
    recovery: Recovery


@dataclass(frozen=True)
class Reassessed:
    """What was found of one file.

    Attributes:
        records: Of the file.
        attacked: Of them, those whose people are at hand.
        candidates: People of the institution.
        chance: Success of a blind guess among them.
        patterns: How alike the records are.
        then: With the panel of the run.
        now: With everybody who is public today; None where nobody came since.
        kin: Named by relatives, by degree.
        others: With each other file about the same people.
    """

    records: int
    attacked: int
    candidates: int
    chance: float
    patterns: Patterns
    then: Threat
    now: Threat | None
    kin: tuple[NamedByKin, ...]
    others: tuple[TwoReleases, ...]

    @property
    def worst(self) -> Threat:
        """Whoever reaches most: more public people need not make every attack better."""
        return self.then if self.now is None or self.then.rr > self.now.rr else self.now


def reassess(file: ReleasedFile, note: Note = lambda _: None) -> Reassessed:
    """Attack a file again.

    Args:
        file: The file, its people and what is public.
        note: Told what is running.

    Raises:
        InputError: Sites do not match, nobody of the file is at hand, or a panel of fewer than four people.
    """
    widths = {one.shape[1] for one in (file.released, file.dosage, file.panel, file.since)}
    if len(widths) > 1:
        raise InputError("file, people and public people do not share their sites", cure="give files of the same sites")
    there = np.flatnonzero(file.truth >= 0)
    if not len(there):
        raise InputError("nobody of the released file is at hand", cure="prepare the people it was made of")
    suite = full_suite(file.seed) if file.trained else attackers()
    error = file.genotype_error
    known = Knowledge(file.panel, file.mask, file.fill, error, reference_missing=error)
    rng = np.random.default_rng([file.seed, 0xEF])
    references = reference_profiles(file.dosage, known.frequencies, error=error, missing=error, rng=rng)
    case = Case(file.released[there], references, file.truth[there], known)
    then = _threat(file, case, suite, note)
    now = None
    if len(file.since):
        today = replace(known, panel=np.concatenate([file.panel, file.since]))
        note(f"with {len(file.since)} further public people")
        case = replace(case, knowledge=today)
        now = _threat(file, case, suite, note)
    if file.kin is not None:
        note("relatives who became public")
    return Reassessed(
        records=len(file.released),
        attacked=len(there),
        candidates=len(file.dosage),
        chance=1 / len(file.dosage),
        patterns=describe([file.released], file.fill),
        then=then,
        now=now,
        kin=() if file.kin is None else _by_degree(file, file.kin, case.knowledge),
        others=tuple(_together(file, case, other, note) for other in file.others),
    )


def _threat(file: ReleasedFile, case: Case, suite: Sequence[Attack], note: Note) -> Threat:
    linked = attack_all(case, suite, note=lambda name: note(f"attack: {name}"))
    note("membership, genotypes that follow")
    asked = case.truth[chosen(len(case.truth), LIMITS.members, file.seed, 0x3E)]
    rows = chosen(len(case.truth), LIMITS.members, file.seed, 0xA6)
    return Threat(
        public_people=len(case.knowledge.panel),
        records=linked.records,
        rr=linked.rr,
        ci95=linked.ci95,
        by_attack=dict(linked.by_attack),
        membership=infer_membership(file.released, case.references[asked], case.knowledge, seed=file.seed),
        recovery=recover(case.released[rows], file.dosage[case.truth[rows]], case.knowledge, seed=file.seed),
    )


def _by_degree(file: ReleasedFile, kin: Kin, knowledge: Knowledge) -> tuple[NamedByKin, ...]:
    found = []
    for degree in np.unique(kin.degree).tolist():
        own = kin.degree == degree
        found.append(named_by_kin(file.released, kin.dosage[own], kin.record[own], degree, knowledge))
    return tuple(found)


def _together(file: ReleasedFile, case: Case, other: OlderFile, note: Note) -> TwoReleases:
    """Both files of the people who are in both; attacked are those who are at hand, or a sample of them."""
    note(f"together with the release of run {other.name}")
    at = np.flatnonzero(file.truth[other.records] >= 0)
    at = at[chosen(len(at), LIMITS.harder, file.seed, 0xA6)]
    rows = other.records[at]
    some = replace(case, released=file.released[rows], truth=file.truth[rows], known_masks=None)
    groups = joint_groups([file.released[other.records]], [other.released])
    second = OtherRelease(other.name, other.mask)
    return two_releases(second, some, [other.released[at]], attackers(), groups, seed=file.seed)
