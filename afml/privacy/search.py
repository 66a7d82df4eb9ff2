"""The price of trying several settings: all trials of a search are one plan, whatever becomes of them.

Every trial's model is published to all institutions, so a person who is in all trials pays for all, and choosing the
best of them afterwards from what is public is post-processing. Nothing is saved by not using a trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from afml.core.errors import ConfigError
from afml.privacy.events import gaussian_rounds
from afml.privacy.plan import PhaseShare, calibrated
from afml.privacy.ple import ple


@dataclass(frozen=True)
class Search:
    """Trials of one search, each a run of one phase.

    Attributes:
        trials: How many.
        rounds: Private rounds of each.
        sample_rate: Of each, in (0, 1].
        ple_sigma: Of all together, lost attempts included.
        delta: PLE holds for every delta' >= delta.
        reserve: Attempts of each trial that may be lost.
        enrolments: Institutions that one person may be enrolled at.
    """

    trials: int
    rounds: int
    sample_rate: float
    ple_sigma: float
    delta: float = 1e-5
    reserve: int = 1
    enrolments: int = 1

    def together(self, noise_multiplier: float, trials: int | None = None) -> float:
        """PLE of some trials, all by default, each with this noise multiplier."""
        steps = (self.trials if trials is None else trials) * (self.rounds + self.reserve) * self.enrolments
        event = gaussian_rounds(self.sample_rate, noise_multiplier * math.sqrt(self.enrolments), steps)
        return ple([event], self.delta).sigma


@dataclass(frozen=True)
class Price:
    """What each trial of a search is configured with.

    Attributes:
        share: PLE of one trial, for `afml configure --ple`, rounded down to four digits.
        noise_multiplier: That `afml configure` finds for it.
        together: PLE of all trials; at most what the search was given.
        alone: Noise multiplier of a single run with all the budget: what searching costs.
        evaluation_share: PLE of each of as many evaluations, full batches of held-out people, in the same budget.
    """

    share: float
    noise_multiplier: float
    together: float
    alone: float
    evaluation_share: float


def priced(search: Search) -> Price:
    """Share one budget equally among the trials of a search.

    Raises:
        ConfigError: A number is out of range, or no noise is enough.
    """
    for option, value, possible, what in (
        ("--search", search.trials, search.trials >= 1, "at least 1"),
        ("--rounds", search.rounds, search.rounds >= 1, "at least 1"),
        ("--sample-rate", search.sample_rate, 0 < search.sample_rate <= 1, "above 0 and at most 1"),
        ("--ple", search.ple_sigma, 0 < search.ple_sigma < math.inf, "above 0 and finite"),
        ("--delta", search.delta, 0 < search.delta < 1, "between 0 and 1"),
        ("--reserve-attempts", search.reserve, search.reserve >= 0, "at least 0"),
        ("--max-enrolments", search.enrolments, search.enrolments >= 1, "at least 1"),
    ):
        if not possible:
            raise ConfigError(f"{value:g} is not {what}", where=option, cure="give another number")
    each = _multiplier(search, search.trials, search.ple_sigma)
    one = search.together(each, 1)
    if not math.isfinite(one):
        raise ConfigError(f"a PLE of {search.ple_sigma:g} hides nothing", where="--ple", cure="ask for less")
    share = _down(one)
    multiplier = _multiplier(search, 1, share)
    return Price(
        share=share,
        noise_multiplier=multiplier,
        together=search.together(multiplier),
        alone=_multiplier(search, 1, search.ple_sigma),
        evaluation_share=_down(search.ple_sigma / math.sqrt(search.trials)),
    )


def _multiplier(search: Search, trials: int, ple_sigma: float) -> float:
    whole = PhaseShare("search", trials * search.rounds, search.sample_rate)
    (found,) = calibrated(
        [whole], ple_sigma=ple_sigma, delta=search.delta, reserve=trials * search.reserve, enrolments=search.enrolments
    )
    return found


def _down(value: float) -> float:
    """Down to four significant digits: what is configured by them is within the budget."""
    scale = 10.0 ** (3 - math.floor(math.log10(value)))
    return math.floor(value * scale) / scale
