"""What attacks reach on one record, asked so that the answer depends on no other private person.

RR of a report chooses among all private people, so whoever leaves changes what is found of the others: a sum of such
successes has no bound for one person that is worth anything. Here the other candidates are public stand-ins, mosaics of
panel people. What is left of a person's success is the person's own: genotypes and record. The released file is public,
and so is whatever is computed from it (docs/design/release-evaluation.md).

Attackers learn from the panel, and would know stand-ins that they learned from better than anybody: the panel is cut in
two, and each half makes stand-ins where the other one is what an attacker knows. Which stand-in happens to be the best
guess for a pattern decides about everybody who shows it, so success is the mean over several sets of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.core.draws import public_draw
from afml.evaluation.attacks import ATTACKS, Case, Knowledge, reference_profiles
from afml.evaluation.attacks.base import Int8
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import Linkage
from afml.evaluation.disclosure import judge
from afml.release.evaluation.vector import MEMBERSHIP_SCORES

SETS = 8
"""Sets of stand-ins from each half of the panel."""


@dataclass(frozen=True, eq=False)
class Among:
    """Records among public stand-ins.

    Attributes:
        knowledge: What is public: panel, release function.
        patterns: int8[J, S], all that a record may show, whether or not one does: public.
        candidates: Of each record, the person included.
        stem: Of the public draws.
    """

    knowledge: Knowledge
    patterns: Int8
    candidates: int
    stem: str

    @cached_property
    def sides(self) -> tuple[tuple[Knowledge, Int8], ...]:
        """(what an attacker knows, int8[p, S] panel people of whom stand-ins are made), for each half of the panel."""
        panel, order = self.knowledge.panel, public_draw(self.stem, "halves").permutation(len(self.knowledge.panel))
        halves = np.array_split(order, 2)
        return tuple(
            (replace(self.knowledge, panel=panel[known]), self.knowledge.complete(panel[others]))
            for known, others in (halves, halves[::-1])
        )

    def stand_ins(self, people: Int8, number: int) -> Int8:
        """One set of them, int8[candidates - 1, S]: reference profiles of mosaics, with the errors of everybody's."""
        rng = public_draw(self.stem, f"stand-ins {number}")
        return _genotyped(mosaic_people(people, self.candidates - 1, rng), self.knowledge, rng)

    def profiles(self, dosage: Int8, records: NDArray[np.int64]) -> Int8:
        """Reference profiles of private people, int8[n, S]: each of draws of its own, whoever else is there.

        Args:
            dosage: int8[n, S].
            records: int64[n], the numbers of theirs in the released file. It is fixed once it is released; a row of the
                institution's store is another one as soon as somebody before it is gone.
        """
        found = np.empty_like(dosage)
        for index, record in enumerate(records.tolist()):
            own = slice(index, index + 1)
            found[own] = _genotyped(dosage[own], self.knowledge, public_draw(self.stem, f"profile {record}"))
        return found

    def success(self, names: Sequence[str], shown: NDArray[np.int64], profiles: Int8) -> NDArray[np.float64]:
        """Probability that each attack names the person for the person's record, float64[n, attacks].

        Args:
            names: Of `ATTACKS`; those whose score of a candidate depends on no other candidate.
            shown: int64[n], the pattern that each record shows.
            profiles: int8[n, S], the same people's.
        """
        nobody = np.full(len(self.patterns), -1)
        # All patterns stand before the records: what an attack makes of them must not depend on which ones occur.
        records = np.concatenate([self.patterns, self.patterns[shown]])
        truth = np.concatenate([nobody, np.arange(len(shown))])
        found = np.zeros((len(shown), len(names)))
        for knowledge, people in self.sides:
            attacks = [_one_by_one(name) for name in names]
            own = [one.standing(Case(records, profiles, truth, knowledge)).own[len(nobody) :] for one in attacks]
            for number in range(SETS):
                case = Case(self.patterns, self.stand_ins(people, number), nobody, knowledge)
                for column, one in enumerate(attacks):
                    public = one.standing(case)
                    best, ties = public.best[shown], public.ties[shown]
                    level = np.where(own[column] == best, 1.0 / (1 + ties), 0.0)
                    found[:, column] += np.where(own[column] > best, 1.0, level)
        return found / (len(self.sides) * SETS)


def _one_by_one(name: str) -> Linkage:
    attack = ATTACKS.get(name).seeded(0)
    if not isinstance(attack, Linkage):
        raise ValueError(f"the attack {name} does not score candidates one by one")
    return attack


def outranked(released: Int8, profiles: Int8, knowledge: Knowledge) -> NDArray[np.float64]:
    """Share of public people whom each person outranks as a member of the file, ties half: float64[n, scores].

    Means over people are the AUCs that `afml.evaluation.disclosure.infer_membership` finds of the same profiles.

    Args:
        released: int8[m, S], the file, which is public.
        profiles: int8[n, S], reference profiles of people in it.
        knowledge: What is public.

    Raises:
        InputError: A panel of fewer than four people.
    """
    judged = judge(released, profiles, knowledge)
    by_score = [[_outranked(one.members, one.others) for one in judged if one.attack == s] for s in MEMBERSHIP_SCORES]
    return np.stack([np.mean(halves, axis=0) for halves in by_score], axis=1)


def _outranked(members: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, members, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(ordered)))


def _genotyped(dosage: Int8, known: Knowledge, rng: np.random.Generator) -> Int8:
    return reference_profiles(
        dosage, known.frequencies, error=known.genotype_error, missing=known.reference_missing, rng=rng
    )
