"""Two releases of the same people: each may keep its groups, and both together single people out.

Two questions. Can records of one file be matched to those of the other by somebody who knows no genome (*matched*)?
And how well are people recognised by somebody who has both records of a person side by side (*rr*)? The second is an
upper bound of what an attacker reaches who must match them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Attack, Case, Float64, Int8, Knowledge, ReleaseFunction
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.distinct import distinct
from afml.evaluation.inputs import OtherRelease, Records
from afml.evaluation.rr import attack_all

_MOSAICS = 2000
_AT_ONCE = 1 << 14  # records


@dataclass(frozen=True)
class TwoReleases:
    """What a second release of the same people adds.

    Attributes:
        name: Of the second one.
        patterns: Distinct pairs of records.
        smallest_group: People of one file who show the same in both, the fewest of any file.
        matched: Share of records of the first whose record in the second is named right, file by file, by somebody
            who knows no genome.
        matched_by_chance: The same of a blind guess.
        rr: Mean success of the worst attack on both records of a person together.
        ci95: Its 95 % interval.
        by_attack: Mean success of each attack.
    """

    name: str
    patterns: int
    smallest_group: int
    matched: float
    matched_by_chance: float
    rr: float
    ci95: tuple[float, float]
    by_attack: dict[str, float]


def joined(case: Case, released: Int8, mask: ReleaseFunction) -> Case:
    """Both records of every person side by side: a case of twice as many sites.

    Args:
        case: The first release.
        released: int8[n, S], the second, rows aligned with the first.
        mask: Its public release function.

    Raises:
        InputError: Other people or sites.
    """
    if released.shape != case.released.shape:
        raise InputError(
            f"a second release of shape {released.shape} beside one of {case.released.shape}",
            cure="compare releases of the same people at the same sites",
        )
    first, sites = case.knowledge, case.released.shape[1]

    def both(dosage: Int8) -> Int8:
        return np.concatenate([first.mask(dosage[:, :sites]), mask(dosage[:, sites:])], axis=1)

    knowledge = replace(first, panel=np.tile(first.panel, 2), mask=both)
    records = np.concatenate([case.released, released], axis=1)
    return Case(records, np.tile(case.references, 2), case.truth, knowledge)


def matching(first: Int8, second: Int8, knowledge: Knowledge, mask: ReleaseFunction, seed: int = 0) -> Float64:
    """Probability that each record of `first` is matched to the same person's record of `second`, ties split.

    The attacker runs both public models on public and made-up people and learns which patterns go together; a record
    is matched to one whose pattern is most overrepresented among people who show the first, P(b | a) / P(b).

    Args:
        first: int8[n, S], one file's records.
        second: int8[n, S], the same people's, rows aligned (for scoring alone).
        knowledge: Of the first release.
        mask: Public release function of the second.
        seed: Of made-up people.

    Returns:
        float64[n].
    """
    rng = np.random.default_rng([seed, 0x2E])
    made = mosaic_people(knowledge.complete_panel, _MOSAICS, rng)
    public = np.concatenate([knowledge.complete_panel, made])
    a, seen_a = _patterns(first, knowledge.mask(public))
    b, seen_b = _patterns(second, mask(public))
    together = np.full((a.max() + 1, b.max() + 1), 1e-3)
    known = (seen_a >= 0) & (seen_b >= 0)
    np.add.at(together, (seen_a[known], seen_b[known]), 1.0)
    lift = together / together.sum(axis=1, keepdims=True) / together.sum(axis=0)
    lift = np.round(np.log(lift), 9)
    candidates = np.bincount(b)  # records of the second file that show each pattern
    best = lift.max(axis=1)
    equally_good = (lift == best[:, None]) @ candidates
    return np.asarray((lift[a, b] == best[a]) / equally_good[a])


def _patterns(records: Int8, public: Int8) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(number of each record's pattern, that of each public person's or -1 where no record shows it)."""
    found, index = distinct(records)
    place = {row.tobytes(): number for number, row in enumerate(found)}
    rows = np.ascontiguousarray(public, dtype=np.int8)
    return index, np.array([place.get(row.tobytes(), -1) for row in rows])


def joint_groups(first: Sequence[Records], second: Sequence[Records]) -> tuple[int, int]:
    """(distinct pairs of records over all files, people of one file who share a pair, the fewest).

    Args:
        first, second: Every file, the same people in the same rows.
    """
    of_first, of_second = _numbered(first), _numbered(second)
    base = 1 + max(int(own.max()) for own in of_first)
    pairs = [one + base * two for one, two in zip(of_first, of_second, strict=True)]
    smallest = min(int(np.unique(own, return_counts=True)[1].min()) for own in pairs)
    return len(np.unique(np.concatenate(pairs))), smallest


def _numbered(files: Sequence[Records]) -> list[NDArray[np.int64]]:
    """Number of the record of each row, [people] a file: equal records have one number, in whatever file they are."""
    numbers: dict[bytes, int] = {}
    found = []
    for file in files:
        own = np.empty(len(file), np.int64)
        for start in range(0, len(file), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            shown, which = distinct(file[part])
            own[part] = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in shown])[which]
        found.append(own)
    return found


def two_releases(
    second: OtherRelease,
    case: Case,
    released: Sequence[Int8],
    attacks: Sequence[Attack],
    groups: tuple[int, int],
    *,
    seed: int = 0,
) -> TwoReleases:
    """What an attacker does with a second release of the people of `case`.

    Args:
        second: Its name and public release function.
        case: The first.
        released: int8[n, S] of every file of the second, rows as in the first.
        attacks: At least one.
        groups: `joint_groups` of everybody: those of `case` may be a sample.
        seed: Of made-up people.
    """
    both = joined(case, np.concatenate(released), second.mask)
    found = attack_all(both, attacks)
    cuts = np.cumsum([len(file) for file in released])[:-1]
    first = np.split(case.released, cuts)
    success = [matching(a, b, case.knowledge, second.mask, seed) for a, b in zip(first, released, strict=True)]
    return TwoReleases(
        name=second.name,
        patterns=groups[0],
        smallest_group=groups[1],
        matched=float(np.concatenate(success).mean()),
        matched_by_chance=len(released) / len(case.released),
        rr=found.rr,
        ci95=found.ci95,
        by_attack=dict(found.by_attack),
    )
