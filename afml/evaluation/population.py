"""RR as the population grows: the same records among ten and a hundred times as many candidates.

An attacker seldom knows that a person is one of the two thousand who were released; the candidates may be a
region or a country. More people are simulated as mosaics of those at hand, genotyped with errors like every
candidate. They are as alike as relatives, so they are harder to tell from the right person than strangers are;
they add no allele that nobody carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np

from afml.core.children import in_child, usable_processors
from afml.evaluation.attacks.base import Case, Int8, reference_profiles
from afml.evaluation.attacks.mosaics import mosaic_people
from afml.evaluation.attacks.scoring import IN_CHILDREN_FROM, Linkage, Standing, alone
from afml.evaluation.limits import LIMITS, Most
from afml.evaluation.rr import interval, sampled

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
    most: Most = LIMITS.attacks,
) -> tuple[PopulationPoint, ...]:
    """Attack the records of `case` among its candidates and simulated ones.

    The simulated people pass by once, some at a time, so memory does not grow with the population.

    Args:
        case: The release under attack.
        attacks: At least one.
        population: The simulated ones.
        note: Told how far it is.
        most: Of pairs of record and candidate; see `attack_all`.

    Returns:
        One point per factor. RR of one attack can only fall from point to point.
    """
    case, base = replace(sampled(case, most), file=None), len(case.references)
    patterns, pattern_of = case.patterns
    reached = [attack.standing(case) for attack in attacks]
    source, made = case.knowledge.complete(population.people), 0
    crowd = Case(patterns, patterns, np.full(len(patterns), -1), case.knowledge)
    points = []
    for factor in sorted(set(population.factors)):
        wanted = max(made, (factor - 1) * base)
        starts = range(made, wanted, population.people_at_once)
        chunks = [(start, min(population.people_at_once, wanted - start)) for start in starts]
        if chunks:
            note(f"{base + wanted} candidates")
            met = _strangers(crowd, attacks, replace(population, people=source), chunks)
            reached = [
                sofar.joined(Standing(one.best[pattern_of], one.ties[pattern_of], one.own[pattern_of]))
                for sofar, one in zip(reached, met, strict=True)
            ]
            made = wanted
        success = {a.name: standing.success() for a, standing in zip(attacks, reached, strict=True)}
        by_attack = {name: float(values.mean()) for name, values in success.items()}
        worst = max(by_attack, key=lambda name: by_attack[name])
        candidates = base + made
        points.append(
            PopulationPoint(factor, candidates, 1 / candidates, by_attack[worst], interval(success[worst]), by_attack)
        )
    return tuple(points)


Chunk = tuple[int, int]
"""(people made before, people to make now)."""


def _strangers(
    crowd: Case, attacks: Sequence[Linkage], population: Population, chunks: Sequence[Chunk]
) -> list[Standing]:
    """How simulated people score for every pattern of `crowd`, one standing an attack."""
    size = sum(count for _, count in chunks) * max(crowd.released.shape)
    workers = 1 if in_child() or size < IN_CHILDREN_FROM else min(usable_processors(), len(chunks))
    parts = [chunks[k::workers] for k in range(workers)]
    work = [partial(_met, crowd, attacks, population, part) for part in parts]
    met = [one() for one in work] if workers == 1 else alone(work, workers)
    return [reduce(Standing.joined, each) for each in zip(*met, strict=True)]


def _met(crowd: Case, attacks: Sequence[Linkage], population: Population, chunks: Sequence[Chunk]) -> list[Standing]:
    knowledge = crowd.knowledge
    reached: list[Standing] = []
    for made, count in chunks:
        rng = np.random.default_rng([population.seed, 0xC0, made])
        profiles = reference_profiles(
            mosaic_people(population.people, count, rng),
            knowledge.frequencies,
            error=knowledge.genotype_error,
            missing=knowledge.reference_missing,
            rng=rng,
        )
        case = replace(crowd, references=profiles)
        found = [attack.standing(case) for attack in attacks]
        reached = [a.joined(b) for a, b in zip(reached, found, strict=True)] if reached else found
    return reached


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
