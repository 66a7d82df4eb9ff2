"""What rounds of one mechanism cost in privacy, in every unit that we report; or what noise a target needs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from afml.core.errors import ConfigError
from afml.privacy.accountant import profile
from afml.privacy.calibrate import noise_multiplier_for, noise_multiplier_for_epsilon
from afml.privacy.events import gaussian_rounds
from afml.privacy.ple import FALSE_POSITIVE_RATES, attacker_tpr, mu_from, ple_of
from afml.privacy.profile import GaussianProfile, Profile


@dataclass(frozen=True)
class Target:
    """What is known of a mechanism: exactly one of these.

    Attributes:
        noise_multiplier: Noise standard deviation in units of the clip norm.
        ple_sigma: PLE, in sigma.
        epsilon: At the delta of the question.
    """

    noise_multiplier: float | None = None
    ple_sigma: float | None = None
    epsilon: float | None = None

    def check(self) -> None:
        """Refuse more or fewer than one, and what is no positive number.

        Raises:
            ConfigError: Names the option.
        """
        given = {"--noise-multiplier": self.noise_multiplier, "--ple": self.ple_sigma, "--epsilon": self.epsilon}
        if sum(value is not None for value in given.values()) != 1:
            raise ConfigError(f"give exactly one of {', '.join(given)}", where="afml privacy")
        for name, value in given.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"must be a positive number, not {value}", where=name)


@dataclass(frozen=True)
class Schedule:
    """How often a mechanism is used, and on how many.

    Attributes:
        sample_rate: Poisson rate in (0, 1].
        rounds: With reserved attempts.
        delta: At which epsilon and PLE are reported.
    """

    sample_rate: float
    rounds: int
    delta: float

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            ConfigError: Names the option.
        """
        if not 0 < self.sample_rate <= 1:
            raise ConfigError(f"must be above 0 and at most 1, not {self.sample_rate}", where="--sample-rate")
        if self.rounds < 1:
            raise ConfigError(f"must be at least 1, not {self.rounds}", where="--rounds")
        if not 0 < self.delta < 1:
            raise ConfigError(f"must be strictly between 0 and 1, not {self.delta}", where="--delta")


@dataclass(frozen=True, eq=False)
class Cost:
    """An answer.

    Attributes:
        profile: Its whole trade-off curve.
        report: In figures, as JSON: epsilon, PLE, tails of the privacy loss, best membership attack.
    """

    profile: Profile
    report: dict[str, Any]


def cost_of(target: Target, schedule: Schedule) -> Cost:
    """The cost of rounds with this noise, or with the noise that this cost needs.

    Raises:
        ConfigError: The target cannot be, or no noise reaches it.
    """
    target.check()
    schedule.check()
    noise = target.noise_multiplier
    if target.ple_sigma is not None:
        noise = noise_multiplier_for(
            target.ple_sigma, rounds=schedule.rounds, sample_rate=schedule.sample_rate, delta=schedule.delta
        )
    elif target.epsilon is not None:
        noise = noise_multiplier_for_epsilon(
            target.epsilon, rounds=schedule.rounds, sample_rate=schedule.sample_rate, delta=schedule.delta
        )
    assert noise is not None
    found = profile([gaussian_rounds(schedule.sample_rate, noise, schedule.rounds)], schedule.delta)
    settings = {"noise_multiplier": noise, "sample_rate": schedule.sample_rate, "rounds": schedule.rounds}
    return Cost(found, {**settings, **_figures(found, schedule.delta)})


def converted(target: Target, schedule: Schedule) -> Cost:
    """Epsilon and PLE of a Gaussian mechanism into each other.

    Raises:
        ConfigError: The target is a noise multiplier.
    """
    target.check()
    schedule.check()
    if target.noise_multiplier is not None:
        raise ConfigError("works on --ple or --epsilon", where="--convert")
    mu = target.ple_sigma if target.ple_sigma is not None else float(mu_from(target.epsilon or 0.0, schedule.delta))
    found: Profile = GaussianProfile(mu)
    return Cost(found, _figures(found, schedule.delta))


def _figures(found: Profile, delta: float) -> dict[str, Any]:
    result = ple_of(found, delta)
    if not math.isfinite(result.sigma):
        raise ConfigError(f"no finite epsilon at delta {delta:g}", where="afml privacy", cure="use more noise")
    rates = attacker_tpr(found)
    return {
        "epsilon": result.epsilon,
        "delta": delta,
        "accountant": result.accountant,
        "ple_sigma": result.sigma,
        "ple_at_delta": result.at_delta,
        "loss_mean": result.loss_mean,
        "loss_sd": result.loss_sd,
        "tails": [dataclasses.asdict(tail) for tail in result.tails],
        "roc": [
            {"false_positive_rate": rate, "true_positive_rate": float(best)}
            for rate, best in zip(FALSE_POSITIVE_RATES, rates, strict=True)
        ],
    }
