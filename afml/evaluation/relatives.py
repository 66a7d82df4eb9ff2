"""Relatives as candidates: the person never gave a genome to anybody, but a child, a cousin did.

The attacker's database holds, instead of every candidate's own profile, that of one relative, and an attack succeeds
where it names the relative of the record's person. It is told the degree: likelihoods are of sharing one allele by
descent, not of being the same person. Simulated descendants stand for relatives: a grandchild shares as
much with its grandparent as half-siblings or an uncle and a niece do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from afml.evaluation.attacks.base import Attack, Case, Int8, reference_profiles
from afml.evaluation.attacks.pedigree import Pedigree
from afml.evaluation.rr import attack_all

DEGREES = (1, 2, 3)


@dataclass(frozen=True)
class RelativesPoint:
    """Attacks by somebody who has relatives of one degree.

    Attributes:
        degree: 1 child or parent, 2 grandchild, 3 great-grandchild.
        kinship: Expected kinship coefficient of the two.
        candidates: Relatives, one of each candidate.
        chance: Success of a blind guess among them.
        rr: Mean success of the worst attack.
        ci95: Its 95 % interval.
        by_attack: Mean success of each attack.
    """

    degree: int
    kinship: float
    candidates: int
    chance: float
    rr: float
    ci95: tuple[float, float]
    by_attack: dict[str, float]


def of_relatives(case: Case, people: Int8, degree: int, seed: int) -> Case:
    """The same records for an attacker who has genotyped one relative of each candidate, with errors.

    Args:
        case: The release under attack.
        people: int8[m, S], the candidates' genotypes, in the order of the references.
        degree: Of relationship.
        seed: Of relatives and of errors.
    """
    knowledge = case.knowledge
    rng = np.random.default_rng([seed, 0xD1, degree])
    young = Pedigree(knowledge.complete_panel).descendants(knowledge.complete(people), degree, rng)
    profiles = reference_profiles(
        young, knowledge.frequencies, error=knowledge.genotype_error, missing=knowledge.reference_missing, rng=rng
    )
    known = replace(knowledge, shared=2.0 ** (1 - degree))
    return replace(case, references=profiles, knowledge=known, known_masks=None)


def rr_by_degree(
    case: Case,
    people: Int8,
    attacks: Sequence[Attack],
    *,
    seed: int = 0,
    degrees: Sequence[int] = DEGREES,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[RelativesPoint, ...]:
    """Attack the records of `case` with relatives of its candidates.

    Args:
        case: The release under attack.
        people: int8[m, S], the candidates' genotypes, in the order of the references.
        attacks: At least one.
        seed: Of relatives and of errors.
        degrees: Of relationship.
        note: Told how far it is.
    """
    points = []
    for degree in degrees:
        note(f"relatives of degree {degree}")
        found = attack_all(of_relatives(case, people, degree, seed), attacks)
        kinship = 2.0 ** -(degree + 1)
        points.append(
            RelativesPoint(degree, kinship, found.candidates, found.chance, found.rr, found.ci95, dict(found.by_attack))
        )
    return tuple(points)
