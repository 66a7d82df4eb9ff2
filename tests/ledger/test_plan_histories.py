"""Runs begin, go on, pause, end and are closed in any order: nobody is ever charged beyond the lifetime budget."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from afml.consortium.attempt import Attempt
from afml.consortium.run import Budget, RunConfig
from afml.core.errors import AfmlError, BudgetError
from afml.ledger.entries import spend_for
from afml.ledger.reservation import Limits, reservation_for
from afml.ledger.verify import verify
from tests.ledger.helpers import (
    PEOPLE,
    PUBLIC,
    Clock,
    close,
    full,
    open_ledger,
)


class Histories(RuleBasedStateMachine):
    """Runs of different sizes begin, go on, pause, end and are closed in any order, over overlapping people."""

    LIMIT = Budget(delta=1e-5, ple_sigma=1.0)

    @initialize(folder=st.uuids())
    def begin(self, folder: object) -> None:
        import tempfile

        self.clock = Clock()
        self.holder = tempfile.TemporaryDirectory()
        self.ledger = open_ledger(Path(self.holder.name), clock=self.clock)
        self.runs: dict[str, tuple[RunConfig, list[str]]] = {}
        self.done: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            entries = len(self.ledger)
            self.ledger.close()
            if entries % 5 == 4:  # it costs more than all the rest
                result = verify(Path(self.holder.name), key=PUBLIC)
                assert result.ok, result.findings
            self.holder.cleanup()

    @rule(sigma=st.sampled_from([0.2, 0.5, 0.8]), wide=st.booleans(), people=st.sampled_from([(0, 6), (3, 9), (8, 12)]))
    def reserve(self, sigma: float, wide: bool, people: tuple[int, int]) -> None:
        budget = Budget(delta=1e-5, ple_sigma=60.0 if wide else 1.0)
        run = full(f"run-{len(self.runs)}", sigma, budget=budget, rounds=2)
        chosen = PEOPLE[slice(*people)]
        limits = Limits(budget, self.LIMIT)
        try:
            self.ledger.plans.reserve(reservation_for(run, limits, days=10), chosen)
        except BudgetError:
            return
        self.runs[run.run], self.done[run.run] = (run, chosen), 0

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.runs)))
        run, people = self.runs[name]
        limits = Limits(run.budget, self.LIMIT)
        spent = spend_for(run, Attempt(self.done[name] + 1, 1), [1, 2, 3]) if self.done[name] < 2 else None
        over = self.ledger.plans.closed(name) is not None
        if spent is None:
            return
        held = self.ledger.plans.held(name)
        assert held is not None
        if over or held.expires_ms < self.clock.now * 1000 + 2000:
            with pytest.raises(BudgetError):
                self.ledger.append(spent, people, limits)
        else:  # what was set aside can always be spent
            self.ledger.append(spent, people, limits)
            self.done[name] += 1

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.runs)))
        close(self.ledger, self.runs[name][0], "by-hand")

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def sign_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.runs)))
        run, people = self.runs[name]
        cheaper = run.model_copy(update={"reserve_attempts": 3})
        with pytest.raises(AfmlError, match="this name belongs"):
            self.ledger.plans.reserve(reservation_for(cheaper, Limits(run.budget, self.LIMIT), days=1), people)

    @rule(days=st.integers(1, 6))
    def pause(self, days: int) -> None:
        self.clock.now += days * 86400

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(Path(self.holder.name), clock=self.clock)

    @invariant()
    def nobody_is_beyond_the_lifetime_budget(self) -> None:
        if hasattr(self, "ledger"):
            for one in self.ledger.accounts(PEOPLE):
                assert one.committed(self.LIMIT).within


Histories.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistories = Histories.TestCase
