"""Plans set aside whole: no run starts that cannot end, runs at the same time see each other, closed is closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget, RunConfig
from afml.core.errors import BudgetError, IntegrityError
from afml.ledger.entries import spend_for
from afml.ledger.reservation import Limits, reservation_for
from afml.ledger.spending import worst, worst_committed
from afml.ledger.store import Ledger
from afml.ledger.verify import verify
from tests.ledger.helpers import (
    LIFETIME,
    ONE,
    PEOPLE,
    PUBLIC,
    Clock,
    close,
    config,
    full,
    limits,
    open_ledger,
    reserve,
    spend,
)


def all_of(ledger: Ledger, run: RunConfig) -> None:
    for round in range(1, run.rounds + 1):
        spend(ledger, run, round)


def test_a_plan_that_cannot_end_does_not_begin(tmp_path: Path) -> None:
    """0.6 under what is left of a budget of 0.7 once spent half of its rounds and failed without a model."""
    budget = Budget(delta=1e-5, ple_sigma=0.7)
    with open_ledger(tmp_path) as ledger:
        first = full("first", 0.5, budget=budget)
        all_of(ledger, first)
        close(ledger, first)
        with pytest.raises(
            BudgetError, match=r"to 0\.781 of 0\.7 sigma .*charged 0\.5, left 0\.4899; 1\.\d+ times"
        ) as no:
            reserve(ledger, full("second", 0.6, budget=budget))
        assert "\n" not in str(no.value)
        assert [entry.kind for entry in ledger.entries()][-1] == "closing"
        all_of(ledger, full("third", 0.48, budget=budget))


def test_concurrent_runs_see_each_other(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        one, two = full("one", 0.8), full("two", 0.8)
        reserve(ledger, one)
        with pytest.raises(BudgetError, match=r"charged 0\.8, left 0\.6"):
            reserve(ledger, two)
        all_of(ledger, one)
        close(ledger, one)
        reserve(ledger, full("three", 0.5))


def test_a_later_run_with_a_larger_budget_does_not_take_what_an_earlier_one_needs(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        modest = full("modest", 0.6, budget=Budget(delta=1e-5, ple_sigma=0.7))
        reserve(ledger, modest)
        with pytest.raises(BudgetError, match="the budget of run modest, which is under way"):
            reserve(ledger, full("greedy", 0.6, budget=LIFETIME))
        all_of(ledger, modest)


def test_a_refusal_names_what_would_make_the_run_fit(tmp_path: Path) -> None:
    """A second run named its own target as the budget: it was refused for ever, of people who had plenty left."""
    wide = Limits(Budget(delta=1e-5, ple_sigma=0.4), Budget(delta=1e-5, ple_sigma=0.9))
    first, second = (full(name, 0.4, budget=wide.run) for name in ("first", "second"))
    with open_ledger(tmp_path) as ledger:
        ledger.plans.reserve(reservation_for(first, wide, days=1), PEOPLE)
        with pytest.raises(BudgetError, match=r"left 0; have it made with a larger `afml configure --budget`"):
            ledger.plans.reserve(reservation_for(second, wide, days=1), PEOPLE)
        narrow = Limits(wide.run, wide.run)
        with pytest.raises(BudgetError, match="no further run fits"):
            ledger.plans.reserve(reservation_for(second, narrow, days=1), PEOPLE)
        alone = reservation_for(second, wide, days=1, own_noise=True)
        with pytest.raises(
            BudgetError, match=r"name in trust\.signing_keys of policy\.toml whose noise this site trusts"
        ):
            ledger.plans.reserve(alone, PEOPLE)


def test_the_sites_lifetime_budget_stands_above_any_run(tmp_path: Path) -> None:
    """A run signed with budget 60 after one with 0.6 took the same people to 40 sigma."""
    with open_ledger(tmp_path) as ledger:
        wide = Budget(delta=1e-5, ple_sigma=60.0)
        run = full("wide", 40.0, budget=wide)
        site = Limits(wide, Budget(delta=1e-5, ple_sigma=0.9))
        with pytest.raises(BudgetError, match=r"to 40 of 0\.9 sigma at delta 1e-05, this site's lifetime budget"):
            ledger.plans.reserve(reservation_for(run, site, days=1), PEOPLE)
        assert len(ledger) == 0


def test_a_policy_made_stricter_holds_before_the_next_spend(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = full("run", 0.6)
        spend(ledger, run, 1)
        with pytest.raises(BudgetError, match="lifetime budget"):
            ledger.append(
                spend_for(run, Attempt(2, 1), [1, 2, 3]), PEOPLE, Limits(ONE, Budget(delta=1e-5, ple_sigma=0.5))
            )
        spend(ledger, run, 2)


def test_nothing_is_spent_that_was_not_set_aside(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run = config()
        with pytest.raises(BudgetError, match="nothing is reserved for it"):
            ledger.append(spend_for(run, Attempt(1, 1), [1, 2, 3]), PEOPLE, limits(run))
        reserve(ledger, run)
        with pytest.raises(IntegrityError, match="not those that the plan was reserved for"):
            ledger.append(spend_for(run, Attempt(1, 1), [1, 2, 3]), PEOPLE[1:], limits(run))
        for round in (1, 2, 3, 4):
            spend(ledger, run, round)
        spend(ledger, run, 4, 2)  # the one in reserve
        with pytest.raises(BudgetError, match="not in what is left of the reserved plan"):
            spend(ledger, run, 4, 3)


def test_closing_frees_full_batches_and_keeps_subsampled_plans(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        exact = full("exact", 0.8)
        spend(ledger, exact, 1)
        assert worst_committed(ledger.accounts(PEOPLE), ONE).spent == pytest.approx(0.8)
        close(ledger, exact, "by-hand")
        assert worst_committed(ledger.accounts(PEOPLE), ONE).spent == pytest.approx(0.4)
    with open_ledger(tmp_path / "other") as ledger:
        batches = config("batches", z=2.0, rate=0.2, rounds=20, reserve_attempts=0)
        reserve(ledger, batches)
        before = worst_committed(ledger.accounts(PEOPLE), ONE).spent
        spend(ledger, batches, 1)
        close(ledger, batches, "failed")
        assert worst_committed(ledger.accounts(PEOPLE), ONE).spent == pytest.approx(before)
        assert worst(ledger.accounts(PEOPLE), ONE).spent < 0.5 * before
    with open_ledger(tmp_path / "third") as ledger:
        reserve(ledger, batches)
        close(ledger, batches, "by-hand")  # nobody saw anything of it
        assert worst_committed(ledger.accounts(PEOPLE), ONE).spent == 0


def test_a_closed_run_is_refused_for_ever(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        run, never = full("run", 0.5), full("never", 0.1)
        spend(ledger, run, 1)
        close(ledger, run, "by-hand")
        close(ledger, run, "failed")  # the first word stands
        assert ledger.plans.closed("run") == "by-hand"
        for refused in (lambda: spend(ledger, run, 2), lambda: reserve(ledger, run)):
            with pytest.raises(BudgetError, match=r"closed at this site \(by-hand\)"):
                refused()
        close(ledger, never, "by-hand")  # a run that never began, too
        with pytest.raises(BudgetError, match="closed at this site"):
            reserve(ledger, never)
        with pytest.raises(BudgetError, match="closed at this site"):
            ledger.plans.approve("never", never.digest().hex())


def test_a_reservation_lasts_as_long_as_the_policy_says(tmp_path: Path) -> None:
    clock = Clock()
    with open_ledger(tmp_path, clock=clock) as ledger:
        slow = full("slow", 0.8)
        reserve(ledger, slow, days=2)
        spend(ledger, slow, 1)
        clock.now += 3 * 86400
        with pytest.raises(BudgetError, match="the time that this site's policy gives to a run is up"):
            spend(ledger, slow, 2)
        reserve(ledger, full("next", 0.6))  # what the first did not spend is free again, by an entry of its own
        assert ledger.plans.closed("slow") == "expired"
    assert verify(tmp_path, key=PUBLIC).ok


def test_a_name_belongs_to_one_configuration(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        signed, again = full("run", 0.3), full("run", 0.4)
        ledger.plans.approve("run", signed.digest().hex())
        for refused in (
            lambda: reserve(ledger, again),
            lambda: ledger.plans.approve("run", again.digest().hex()),
            lambda: close(ledger, again),
        ):
            with pytest.raises(IntegrityError, match="this name belongs to the configuration"):
                refused()
        reserve(ledger, signed)


def test_people_of_a_simulation_are_not_taken_into_a_real_run(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        spend(ledger, full("made-up", 0.1, seed=1), 1, people=PEOPLE[:3])
        with pytest.raises(BudgetError, match="3 of these people took part in a simulation"):
            reserve(ledger, full("real", 0.1))
        reserve(ledger, full("real", 0.1), PEOPLE[3:])
        reserve(ledger, full("another", 0.1, seed=2), PEOPLE[:3])
        with pytest.raises(BudgetError, match="9 of these people are in real runs"):
            reserve(ledger, full("third", 0.1, seed=3))


def test_the_stated_value_is_the_filters_and_the_fixed_plan_stands_beside_it(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        for name in ("one", "two"):
            run = config(name, z=1.5, rate=0.1, rounds=2, reserve_attempts=0, budget=LIFETIME)
            all_of(ledger, run)
            close(ledger, run)
        claim: Any = list(ledger.entries())[-2].body["claim"]
        assert claim["accountant"] == "GDP filter"
        assert claim["ple_sigma"] > claim["fixed_plan"]["ple_sigma"] > 0
    assert verify(tmp_path, key=PUBLIC).ok
