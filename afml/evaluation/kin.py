"""A relative who became public: does the relative's genome name a record, or at least what is shown of its group?

The other direction than relatives as candidates (`afml.evaluation.relatives`): one genome, and all records of a file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from afml.evaluation.attacks.base import Case, Int8, Knowledge
from afml.evaluation.attacks.likelihood import RecordLikelihood
from afml.evaluation.distinct import distinct
from afml.evaluation.rr import interval


@dataclass(frozen=True)
class NamedByKin:
    """What relatives of one degree give away.

    Attributes:
        degree: Of relationship.
        relatives: How many.
        named: Share of them whose person's record is named right; ties are split, so that 1 / (people of the group) is
            the most.
        ci95: Its 95 % interval.
        chance: Success of a blind guess among the records.
        group: Share of them whose person's pattern is named right, that is, what the file tells of the person.
        group_by_chance: The same of somebody who always names the commonest pattern.
    """

    degree: int
    relatives: int
    named: float
    ci95: tuple[float, float]
    chance: float
    group: float
    group_by_chance: float


def named_by_kin(
    released: Int8, relatives: Int8, record: NDArray[np.int64], degree: int, knowledge: Knowledge
) -> NamedByKin:
    """Name the record of each relative's person: of all patterns the one that is likeliest beside a stranger's.

    Args:
        released: int8[n, S], all records of the file.
        relatives: int8[r, S], genotypes of relatives of people in it.
        record: int64[r], the record that is to be named.
        degree: Of relationship, the same of all.
        knowledge: What is public.
    """
    patterns, of_record = distinct(released)
    sizes = np.bincount(of_record)
    known = replace(knowledge, shared=2.0 ** (1 - degree))
    alone = np.log(np.einsum("sg,sgo->so", known.frequencies, known.channel))
    stranger = alone[np.arange(patterns.shape[1]), patterns.astype(np.int64) + 1].sum(axis=1)  # [patterns]
    nobody = np.full(len(patterns), -1, dtype=np.int64)
    told = RecordLikelihood(Case(patterns, relatives, nobody, known)).block(slice(0, len(relatives)))
    ratio = np.round(told.astype(np.float64) - stranger[:, None], 9)  # [patterns, relatives]
    best = ratio == ratio.max(axis=0)
    own = best[of_record[record], np.arange(len(relatives))]
    success = own / (best * sizes[:, None]).sum(axis=0)
    groups = own / best.sum(axis=0)
    return NamedByKin(
        degree=degree,
        relatives=len(relatives),
        named=float(success.mean()),
        ci95=interval(success),
        chance=1 / len(released),
        group=float(groups.mean()),
        group_by_chance=float(sizes.max() / len(released)),
    )
