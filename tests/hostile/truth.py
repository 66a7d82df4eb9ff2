"""What really leaves about a person, counted beside the product, by the noise of who is not in the conspiracy."""

from __future__ import annotations

import math
from collections import defaultdict

from afml.consortium.attempt import Attempt
from afml.consortium.run import RunConfig

TRAVELLER, HOMES = 0, (1, 2)
"""A person who may be enrolled at two institutions, under this number at each; then their cards say so."""


def leak_of_one(run: RunConfig, attempt: Attempt, honest: int) -> float:
    """mu^2 of an attempt about somebody who is in it once; of k times in one sum, k^2 times that.

    Args:
        run: The run.
        attempt: Its place.
        honest: Institutions in the cohort that add noise and keep it to themselves.
    """
    assert run.seed is None, "a simulation got through"
    _, phase = run.phase_of(attempt.round)
    z, m = phase.noise_multiplier, run.enrolments_per_person
    if run.noise == "local":
        return 1 / (m * z**2)
    share = min(1.0, honest / (run.quorum - run.max_colluding))
    return 1 / (m**2 * z**2 * share)


class Together:
    """What leaves about the traveller from all homes together."""

    def __init__(self) -> None:
        self._times: dict[tuple[bytes, Attempt], list[int]] = defaultdict(list)
        self._one: dict[tuple[bytes, Attempt], tuple[RunConfig, float]] = {}

    def left(self, run: RunConfig, attempt: Attempt, times: int, honest: int) -> None:
        """One home lets an update go that the traveller is in so many times."""
        key = run.digest(), attempt
        self._times[key].append(times)
        before = self._one.get(key, (run, 0.0))[1]
        self._one[key] = run, max(before, leak_of_one(run, attempt, honest))

    @property
    def sigma(self) -> float:
        """mu of everything."""
        total = 0.0
        for key, times in self._times.items():
            run, one = self._one[key]
            total += one * (sum(k**2 for k in times) if run.noise == "local" else sum(times) ** 2)
        return math.sqrt(total)
