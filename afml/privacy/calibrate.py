"""From a wish ("PLE 0.9 over 100 rounds") to a noise multiplier: the accountants, inverted.

PLE falls as noise grows, so a bracketed root search on log z does it. The answer is rounded *up* to
five significant digits: what a configuration file holds then keeps the promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afml.core.errors import ConfigError
from afml.core.roots import root
from afml.privacy.accountant import epsilon as accounted_epsilon
from afml.privacy.accountant import require_delta
from afml.privacy.events import Event, gaussian_rounds
from afml.privacy.ple import mu_from, ple

Z_RANGE = (0.2, 20_000.0)
MOST = 1e6
"""Of targets, in sigma or epsilon: what is above protects nobody, and its square may not be a number."""


@dataclass(frozen=True)
class BudgetShare:
    """One phase of a plan whose noise is to be found.

    Attributes:
        rounds: Rounds including reserved attempts.
        sample_rate: Poisson rate in (0, 1].
        weight: Its part of the target: phase k alone would come to PLE * sqrt(weight_k / sum of weights),
            because squares of mu add.
    """

    rounds: int
    sample_rate: float
    weight: float = 1.0


def round_up(z: float) -> float:
    """Up to five significant digits."""
    digits = 4 - math.floor(math.log10(z))
    scale = 10.0**digits
    return math.ceil(z * scale - 1e-9) / scale


def _solve(measure: Callable[[float], float], target: float, guess: float, what: str) -> float:
    """Smallest rounded z with measure(z) <= target; `measure` falls in z.

    Args:
        measure: What the accountant says at z.
        target: What it may say at most.
        guess: Where to start, in the right order of magnitude.
        what: The wish, in words, for the refusal.

    Raises:
        ConfigError: No z in Z_RANGE does.
    """

    def gap(log_z: float) -> float:
        return min(measure(math.exp(log_z)), 1e6) - target

    # Walk out from the guess: very small z with subsampling is where accountants are slow and loose.
    lowest, highest = (math.log(z) for z in Z_RANGE)
    low = high = min(max(math.log(guess), lowest), highest)
    while gap(high) > 0:
        if high >= highest:
            raise ConfigError(
                f"no noise multiplier below {Z_RANGE[1]:g} reaches {what}",
                cure="ask for more or run fewer rounds",
            )
        low, high = high, min(high + 0.4, highest)
    while low == high or gap(low) <= 0:
        if low <= lowest:
            return Z_RANGE[0]
        high, low = low, max(low - 0.2, lowest)
    z = round_up(math.exp(root(gap, low, high, xtol=1e-4)))
    while measure(z) > target:
        z = round_up(z * 1.0002)
    return z


def _central_limit_guess(mu: float, rounds: int, sample_rate: float) -> float:
    """z of mu = q sqrt(T (exp(1/z^2) - 1)) (Bu, Dong, Long, Su 2020): near enough to start from."""
    return 1 / math.sqrt(math.log1p((mu / sample_rate) ** 2 / rounds))


def noise_multiplier_for(ple_sigma: float, *, rounds: int, sample_rate: float, delta: float) -> float:
    """Noise multiplier with which `rounds` rounds come to at most `ple_sigma`.

    Full batches: z = sqrt(rounds) / PLE, exactly.

    Args:
        ple_sigma: Target PLE in sigma.
        rounds: Rounds, with reserved attempts.
        sample_rate: Poisson rate in (0, 1].
        delta: PLE holds for every delta' >= delta.

    Raises:
        ConfigError: The target is not positive or out of reach.
    """
    return noise_multipliers_for(ple_sigma, [BudgetShare(rounds, sample_rate)], delta=delta)[0]


def noise_multiplier_for_epsilon(epsilon: float, *, rounds: int, sample_rate: float, delta: float) -> float:
    """Noise multiplier with which `rounds` rounds come to at most `epsilon` at `delta`.

    Raises:
        ConfigError: The target is not positive or out of reach.
    """
    if not 0 < epsilon <= MOST:
        raise ConfigError(f"epsilon must be positive and at most {MOST:g}, not {epsilon!r}")
    require_delta(delta)
    return _solve(
        lambda z: accounted_epsilon([gaussian_rounds(sample_rate, z, rounds)], delta).value,
        epsilon,
        _central_limit_guess(float(mu_from(epsilon, delta)), rounds, sample_rate),
        f"epsilon {epsilon:g} at delta {delta:g}",
    )


def noise_multipliers_for(ple_sigma: float, shares: Sequence[BudgetShare], *, delta: float) -> list[float]:
    """Noise multipliers of several phases that together come to at most `ple_sigma`.

    First each phase alone is brought to its share of mu^2, then all are scaled by one common factor
    until the accounted composition meets the target (shares of mu^2 add exactly only for full batches).

    Args:
        ple_sigma: Target of the whole plan, in sigma.
        shares: The phases.
        delta: PLE holds for every delta' >= delta.

    Returns:
        One noise multiplier per phase, rounded up to five significant digits.

    Raises:
        ConfigError: A target or weight is not positive, or out of reach.
    """
    require_delta(delta)
    if not 0 < ple_sigma <= MOST:
        raise ConfigError(f"a PLE target must be positive and at most {MOST:g}, not {ple_sigma!r}")
    if not shares or any(share.weight <= 0 or share.rounds < 1 for share in shares):
        raise ConfigError("a plan needs phases, each with a positive weight and at least one round")
    total = sum(share.weight for share in shares)

    def alone(share: BudgetShare) -> float:
        target = ple_sigma * math.sqrt(share.weight / total)
        if share.sample_rate == 1.0:
            return math.sqrt(share.rounds) / target
        return _solve(
            lambda z: ple([gaussian_rounds(share.sample_rate, z, share.rounds)], delta).sigma,
            target,
            _central_limit_guess(target, share.rounds, share.sample_rate),
            f"PLE {target:.3g} in {share.rounds} rounds at sample rate {share.sample_rate:g}",
        )

    start = [alone(share) for share in shares]

    def scaled(factor: float) -> list[float]:
        return [round_up(z * factor) for z in start]

    def together(factor: float, *, exact: bool = False) -> float:
        zs = [z * factor for z in start] if exact else scaled(factor)
        events: list[Event] = [gaussian_rounds(s.sample_rate, z, s.rounds) for s, z in zip(shares, zs, strict=True)]
        return ple(events, delta).sigma

    if len(shares) == 1 or all(share.sample_rate == 1.0 for share in shares):
        return scaled(1.0)
    factor = math.exp(_factor(lambda log_f: together(math.exp(log_f), exact=True) - ple_sigma))
    while together(factor) > ple_sigma:
        factor *= 1.0002
    return scaled(factor)


def _factor(gap: Callable[[float], float]) -> float:
    """Root of a falling `gap`, near 0."""
    low, high = -0.02, 0.02
    while gap(high) > 0:
        low, high = high, high + 0.1
    while gap(low) <= 0:
        low, high = low - 0.1, low
    return root(gap, low, high, xtol=1e-4)
