"""Small releases under attack, for tests that know the answer."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks import Case, Knowledge, reference_profiles
from afml.evaluation.attacks.base import Int8
from tests.simulated import simulate_dosage


def make_case(mask: object = None, people: int = 120, sites: int = 256) -> tuple[Case, Int8]:
    dosage = simulate_dosage(people + 160, sites, 5)
    knowledge = Knowledge(dosage[people:], mask or (lambda d: d))  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    profiles = reference_profiles(dosage[:people], knowledge.frequencies, error=0.01, missing=0.01, rng=rng)
    return Case(knowledge.mask(dosage[:people]), profiles, np.arange(people), knowledge), dosage[:people]
