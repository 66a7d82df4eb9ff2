"""Budgets: what people may spend over all runs, and the refusal of the plan that would pass it.

Within one run the plan is fixed before it starts, so its rounds compose by the accountant, tightly.
Across runs the next plan may have been chosen *because of* what earlier runs returned, and ordinary
composition theorems do not cover a sum whose terms are picked on the way. There a Gaussian-DP filter
decides (Koskela, Tobaben, Honkela 2023, Thm 7; Smith, Thakurta 2022): while sum mu_j^2 <= B^2 over
adaptively chosen mu_j-GDP blocks, the whole is B-GDP.

A full-batch Gaussian step is a block of its own, exactly 1/z-GDP, and the filter costs nothing. The
subsampled steps of a run are one block, mu_j-GDP up to delta_j: delta(eps) <= delta_j + (1 - delta_j)
gdp_delta(mu_j, eps) for all eps, that is, dominated by Gaussian noise composed with an event of
probability delta_j that reveals all (Dong, Roth, Su 2022, Prop. 2.5 and Sec. 3). The delta_j add, the
squares of mu_j add. Such a block is charged with its declared *plan*, even if it was stopped early.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from afml.consortium.run import Budget
from afml.core.errors import BudgetError
from afml.privacy.accountant import composed_profile, profile
from afml.privacy.events import Composition, Event, SubsampledGaussian, compose
from afml.privacy.ple import Ple, dominating_mu, gdp_delta, gdp_epsilon, mu_from, ple, ple_of
from afml.privacy.profile import Floats, GaussianProfile, Profile

RESIDUAL = 1e-2  # a subsampled block's delta_j as a part of the budget's delta: room for a hundred runs
_SLACK = 1 + 1e-9  # z = sqrt(T)/mu does not come back as exactly mu in floating point


@dataclass(frozen=True)
class Certificate:
    """A block is mu-GDP up to `residual`."""

    mu: float
    residual: float


def certify(block: Sequence[Event], delta: float) -> Certificate:
    """Smallest mu with delta(eps) <= r + (1 - r) gdp_delta(mu, eps) for all eps, r = RESIDUAL * delta.

    Negative eps are covered by symmetry: the accounted profile bounds adding and removing a person.
    """
    return _certify(compose(block), delta)


@functools.lru_cache(maxsize=256)
def _certify(composition: Composition, delta: float) -> Certificate:
    found = composed_profile(composition, RESIDUAL * delta)
    if isinstance(found, GaussianProfile):
        return Certificate(found.mu, 0.0)
    residual = RESIDUAL * delta
    top = found.epsilon(residual)
    if not math.isfinite(top):
        return Certificate(math.inf, residual)
    epsilons = np.linspace(0.0, top, 2049)
    demand = (found.delta(epsilons) - residual) / (1 - residual)
    mus = mu_from(epsilons, demand)
    # Between two grid points delta is at most its value at the left one: demand that at the right one.
    between = mu_from(epsilons[1:-1], demand[:-2]) if len(epsilons) > 2 else mus
    return Certificate(float(min(max(mus.max(), between.max()), 1e6)), residual)


@dataclass(frozen=True)
class FilterProfile:
    """Profile of adaptively chosen blocks under the filter: delta(eps) = r + (1 - r) gdp_delta(mu, eps)."""

    mu: float
    residual: float
    accountant: str = "GDP filter"
    mean: float | None = None
    sd: float | None = None

    def delta(self, epsilon: ArrayLike) -> Floats:
        """See `afml.privacy.profile.Profile`."""
        return np.asarray(self.residual + (1 - self.residual) * gdp_delta(self.mu, epsilon))

    def epsilon(self, delta: float) -> float:
        """See `afml.privacy.profile.Profile`."""
        if delta <= self.residual:
            return math.inf
        return gdp_epsilon(self.mu, (delta - self.residual) / (1 - self.residual))

    def tail(self, loss: float) -> float:
        """See `afml.privacy.profile.Profile`."""
        return min(1.0, self.residual + GaussianProfile(self.mu).tail(loss))


def filtered(blocks: Sequence[Sequence[Event]], delta: float) -> Profile:
    """What adaptively chosen blocks (runs) come to. One block alone is composed tightly."""
    used = [block for block in blocks if block]
    if len(used) <= 1:
        return profile(used[0] if used else [], delta)
    mu_squares, residual = [], 0.0
    for block in used:
        composition = compose(block)
        mu_squares.append(composition.gaussian_mu**2)
        if composition.subsampled:
            certificate = certify([SubsampledGaussian(q, z, n) for q, z, n in composition.subsampled], delta)
            mu_squares.append(certificate.mu**2)
            residual += certificate.residual
    mu = math.sqrt(math.fsum(mu_squares))
    return GaussianProfile(mu) if residual == 0 else FilterProfile(mu, residual)


@dataclass(frozen=True)
class Balance:
    """People's spend against their budget.

    Attributes:
        budget: The limit.
        tight: Everything charged, composed as if fixed in advance: shown beside.
        filter: What the filter charges; decides. The same as `tight` for a single run.
    """

    budget: Budget
    tight: Ple
    filter: Ple

    @property
    def spent(self) -> float:
        """In the budget's unit: epsilon or sigma."""
        return self.filter.epsilon if self.budget.epsilon is not None else self.filter.sigma

    @property
    def limit(self) -> float:
        """In the budget's unit."""
        return limit_of(self.budget)

    @property
    def left(self) -> float:
        """In the budget's unit. PLE: sqrt(limit^2 - spent^2), since squares add; never below 0."""
        if self.budget.epsilon is not None:
            return max(0.0, self.limit - self.spent)
        return math.sqrt(max(0.0, self.limit**2 - self.spent**2))

    @property
    def used(self) -> float:
        """Share of the budget that `spent` is, where shares add: of epsilon as it is, of PLE in squares; at most 1."""
        return used(self.budget, self.spent)

    @property
    def within(self) -> bool:
        """Whether the spend respects the limit."""
        return self.spent <= self.limit * _SLACK


def limit_of(budget: Budget) -> float:
    """The budget's number, epsilon or sigma."""
    limit = budget.epsilon if budget.epsilon is not None else budget.ple_sigma
    assert limit is not None  # Budget has exactly one of them
    return limit


def used(budget: Budget, spent: float) -> float:
    """Share of a budget that a spend is, in [0, 1], where shares add: epsilons as they are, sigmas as squares.

    Args:
        budget: The limit.
        spent: In its unit.
    """
    limit = limit_of(budget)
    share = spent / limit if limit > 0 else 1.0
    return min(1.0, share if budget.epsilon is not None else share**2)


def balance(budget: Budget, run: Sequence[Event], earlier: Sequence[Sequence[Event]] = ()) -> Balance:
    """What is spent and left of a budget.

    Args:
        budget: The limit.
        run: Events of the current run, attempts included.
        earlier: What each earlier run of the same people is charged (see `events.charged`).
    """
    everything = [event for block in earlier for event in block] + list(run)
    tight = ple(everything, budget.delta)
    if not any(earlier) or not compose(everything).subsampled:
        return Balance(budget, tight, tight)
    return Balance(budget, tight, ple_of(filtered([*earlier, run], budget.delta), budget.delta))


def check(
    budget: Budget,
    plan: Sequence[Event],
    *,
    earlier: Sequence[Sequence[Event]] = (),
    where: str = "privacy budget",
    whose: str = "the budget",
    cure: str = "",
) -> Balance:
    """Allow a plan, or refuse it: what cannot be carried to its end is not begun.

    Args:
        budget: Limit of the people enrolled.
        plan: Everything that a run may spend, or one step of it.
        earlier: What each other run of the same people is charged.
        where: Named in the refusal.
        whose: The budget, in the words of the refusal.
        cure: What would make the plan fit beside more noise, where there is such a thing.

    Returns:
        The balance after the plan.

    Raises:
        BudgetError: The plan would pass the limit; says what is left and what would fit.
    """
    after = balance(budget, plan, earlier)
    if after.within:
        return after
    before = balance(budget, (), earlier)
    unit = "epsilon" if budget.epsilon is not None else "sigma"
    fits = _fitting_factor(budget, plan, earlier)
    louder = (
        ""
        if fits is None
        else f"{fits:.4g} times the noise would fit: have it made with a smaller `afml configure --ple`"
    )
    spent = "no further run fits; these people have spent their budget (see `afml audit show`)"
    raise BudgetError(
        f"the plan would bring the charge to {after.spent:.4g} of {after.limit:.4g} {unit} at delta {budget.delta:g}, "
        f"{whose}; charged {before.spent:.4g}, left {before.left:.4g}",
        where=where,
        cure="; or ".join(filter(None, (louder, cure))) or spent,
    )


def _fitting_factor(budget: Budget, plan: Sequence[Event], earlier: Sequence[Sequence[Event]]) -> float | None:
    """Smallest factor, to 5 %, by which more noise would make `plan` fit; None above 1,000."""

    def fits(factor: float) -> bool:
        louder = [replace(event, noise_multiplier=factor * event.noise_multiplier) for event in plan]
        return balance(budget, louder, earlier).within

    high = 2.0
    while not fits(high):
        high *= 4
        if high > 1000:
            return None
    low = high / 4 if high > 2 else 1.0
    while high / low > 1.05:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return math.ceil(high * 1000) / 1000


__all__ = [
    "Balance",
    "Certificate",
    "FilterProfile",
    "balance",
    "certify",
    "check",
    "dominating_mu",
    "filtered",
    "limit_of",
]
