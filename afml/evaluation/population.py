"""RR as the population grows: the same records among ten and a hundred times as many candidates.

An attacker seldom knows that a person is one of the two thousand who were released; the candidates may be a
region or a country. More people are simulated as mosaics of those at hand, genotyped with errors like every
candidate. They are as alike as relatives, so they are harder to tell from the right person than strangers are;
they add no allele that nobody carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from afml.evaluation.attacks.base import Case, Int8, reference_profiles
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import Linkage
from afml.evaluation.rr import interval

FACTORS = (1, 10, 100)


@dataclass(frozen=True)
class PopulationPoint:
    """Attacks on the same records among more candidates.

    Attributes:
        factor: Candidates over those of the case.
        candidates: Number of candidates.
        chance: Success of a blind guess among them.
        rr: Mean success of the worst attack.
        ci95: Its 95 % interval.
        by_attack: Mean success of each attack.
    """

    factor: int
    candidates: int
    chance: float
    rr: float
    ci95: tuple[float, float]
    by_attack: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Population:
    """Whom an attacker chooses from, beside the candidates of a case.

    Attributes:
        people: int8[p, S], whom the simulated ones are mosaics of (panel and private people).
        factors: Candidates over those of the case, from 1 on.
        seed: Of mosaics and genotyping errors.
        people_at_once: Simulated people in memory.
    """

    people: Int8
    factors: tuple[int, ...] = FACTORS
    seed: int = 0
    people_at_once: int = 4096


def rr_by_population(
    case: Case,
    attacks: Sequence[Linkage],
    population: Population,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[PopulationPoint, ...]:
    """Attack the records of `case` among its candidates and simulated ones.

    The simulated people pass by once, some at a time, so memory does not grow with the population.

    Args:
        case: The release under attack.
        attacks: At least one.
        population: The simulated ones.
        note: Told how far it is.

    Returns:
        One point per factor. RR of one attack can only fall from point to point.
    """
    knowledge, base = case.knowledge, len(case.references)
    reached = [attack.standing(case) for attack in attacks]
    source, made = knowledge.complete(population.people), 0
    points = []
    for factor in sorted(set(population.factors)):
        while made < (factor - 1) * base:
            count = min(population.people_at_once, (factor - 1) * base - made)
            note(f"{base + made} candidates")
            rng = np.random.default_rng([population.seed, 0xC0, made])
            profiles = reference_profiles(
                mosaic_people(source, count, rng),
                knowledge.frequencies,
                error=knowledge.genotype_error,
                missing=knowledge.reference_missing,
                rng=rng,
            )
            strangers = replace(case, references=profiles, truth=np.full_like(case.truth, -1), known_masks=None)
            reached = [sofar.joined(attack.standing(strangers)) for sofar, attack in zip(reached, attacks, strict=True)]
            made += count
        success = {a.name: standing.success() for a, standing in zip(attacks, reached, strict=True)}
        by_attack = {name: float(values.mean()) for name, values in success.items()}
        worst = max(by_attack, key=lambda name: by_attack[name])
        candidates = base + made
        points.append(
            PopulationPoint(factor, candidates, 1 / candidates, by_attack[worst], interval(success[worst]), by_attack)
        )
    return tuple(points)


def as_table(points: Sequence[PopulationPoint]) -> list[dict[str, float | int | str]]:
    """Rows for a figure: one per factor and attack, the worst ("rr") first, with candidates, chance and interval."""
    rows: list[dict[str, float | int | str]] = []
    for point in points:
        named = [("rr", point.rr), *sorted(point.by_attack.items(), key=lambda item: -item[1])]
        for name, value in named:
            row: dict[str, float | int | str] = {"factor": point.factor, "candidates": point.candidates}
            row |= {"chance": point.chance, "attack": name, "success": value}
            if name == "rr":
                row |= {"low": point.ci95[0], "high": point.ci95[1]}
            rows.append(row)
    return rows
