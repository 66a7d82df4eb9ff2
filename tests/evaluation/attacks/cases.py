"""Cases whose answer is known, and slow, obvious scores to hold fast ones against."""

from __future__ import annotations

from typing import Literal

import numpy as np

from afml.evaluation.attacks import Case, Knowledge, ReleaseFunction, reference_profiles
from afml.evaluation.attacks.base import Int8
from tests.simulated import simulate_dosage

Fill = Literal["major", "missing"]


def make_case(
    mask: ReleaseFunction,
    *,
    people: int = 150,
    sites: int = 192,
    fill: Fill = "major",
    error: float = 0.01,
    seed: int = 3,
    public: ReleaseFunction | None = None,
    dosage: Int8 | None = None,
) -> Case:
    everybody = simulate_dosage(people + 120, sites, seed) if dosage is None else dosage
    private, panel = everybody[:-120], everybody[-120:]
    knowledge = Knowledge(panel, public or mask, fill, error, error)
    rng = np.random.default_rng(seed)
    profiles = reference_profiles(private, knowledge.frequencies, error=error, missing=error, rng=rng)
    order = rng.permutation(len(private))
    truth = np.empty(len(private), dtype=np.int64)
    truth[order] = np.arange(len(private))  # candidate order[k] stands at place k
    return Case(mask(private), profiles[order], truth, knowledge)


def split_ties(scores: list[float], truth: int) -> float:
    best = max(scores)
    winners = [j for j, score in enumerate(scores) if abs(score - best) < 1e-6 * (1 + abs(best))]
    return 1 / len(winners) if truth in winners else 0.0


def slow_likelihood(case: Case, record: Int8, candidate: Int8) -> float:
    knowledge, total = case.knowledge, 0.0
    e = knowledge.genotype_error
    for s, (o, r) in enumerate(zip(record, candidate, strict=True)):
        prior = [knowledge.frequencies[s, g] * (1.0 if r < 0 else 1 - e if g == r else e / 2) for g in range(3)]
        shown = [knowledge.channel[s, g, o + 1] for g in range(3)]
        total += float(np.log(np.dot(prior, shown) / sum(prior)))
    return total
