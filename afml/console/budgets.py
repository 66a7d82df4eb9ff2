"""Budgets for people: what is spent and set aside, how many runs like the last one still fit, and when it ends."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from afml.dossier.standalone import ends
from afml.ledger.summary import EnrolmentSummary, Summary
from afml.privacy.budget import used
from afml.privacy.odds import Odds, odds, right_guesses

_SLACK = 1e-9


@dataclass(frozen=True)
class Projected:
    """What a budget in sigma allows yet. Squares add, so a run like the last one takes the square of its own PLE.

    Attributes:
        like_last: Runs like the last one that still fit beside all that is spent and set aside.
        last: What the plan of the last one comes to by itself, in sigma.
        ends: Day, ISO, on which the budget ends if squares go on being spent as fast as from the first round to the
            last one; "" where these lie less than 30 days apart, or nothing is left, or it would last a century.
    """

    like_last: int
    last: float
    ends: str


@dataclass(frozen=True)
class Bar:
    """One enrolment's budget.

    Attributes:
        enrolment: As the ledger has it.
        spent, reserved: Parts of the budget, 0 to 1, in squares where it is one in sigma.
        projected: None in a simulation, or where the budget is one in epsilon.
        odds: What the people's spend means for an attacker; empty in a simulation.
        right: How often such an attacker guesses right at most, at even odds.
    """

    enrolment: EnrolmentSummary
    spent: float
    reserved: float
    projected: Projected | None
    odds: tuple[Odds, ...]
    right: float


def bars(summary: Summary) -> tuple[Bar, ...]:
    """Of every enrolment that was spent of, in the ledger's order."""
    planned = {plan.run: plan.planned.sigma for plan in summary.plans if plan.planned is not None}
    return tuple(_bar(one, planned) for one in summary.enrolments)


def _bar(one: EnrolmentSummary, planned: Mapping[str, float]) -> Bar:
    if one.total is None or one.balance is None:
        return Bar(one, 1.0, 0.0, None, (), 1.0)
    balance = one.balance
    of_epsilon = balance.budget.epsilon is not None
    spent = used(balance.budget, one.total.epsilon if of_epsilon else one.total.sigma)
    return Bar(
        enrolment=one,
        spent=spent,
        reserved=max(0.0, balance.used - spent),
        projected=None if of_epsilon else project(one, planned),
        odds=odds(one.total.sigma, one.total.epsilon),
        right=right_guesses(one.total.sigma),
    )


def project(one: EnrolmentSummary, planned: Mapping[str, float]) -> Projected | None:
    """What an enrolment's budget in sigma allows yet; None before its first run, and in a simulation.

    Args:
        one: The enrolment.
        planned: Run -> what its whole plan comes to by itself, in sigma: more than it has spent, while it goes on.
    """
    own = [max(run.own.sigma, planned.get(run.run, 0.0)) for run in one.runs if run.own is not None and run.rounds]
    if one.balance is None or one.total is None or not own:
        return None
    left, last = one.balance.left, own[-1]
    fit = math.floor((left / last) ** 2 + _SLACK) if last > 0 else 0
    return Projected(fit, last, _ends(one, left))


def _ends(one: EnrolmentSummary, left: float) -> str:
    """By the rule of the dossier, which a verifier computes again: what is said here is what is said there."""
    times = sorted(dt.datetime.fromisoformat(line.time) for run in one.runs for line in run.rounds)
    assert one.total is not None
    assert one.balance is not None
    first, last = (round(1000 * time.timestamp()) for time in (times[0], times[-1]))
    at = ends(one.balance.limit, one.total.sigma, first, last) if left > 0 else None
    return "" if at is None else dt.datetime.fromtimestamp(at / 1000, dt.UTC).date().isoformat()


def least_left(found: Sequence[Bar]) -> Bar | None:
    """The one whose people have least left; one in a simulation has nothing."""
    return min(
        found, key=lambda bar: -1.0 if bar.enrolment.balance is None else bar.enrolment.balance.left, default=None
    )
