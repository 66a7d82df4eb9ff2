"""The node's guard over its people's budget: ask before a round, record before anything leaves."""

from __future__ import annotations

from collections.abc import Sequence

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import BudgetError
from afml.ledger.checkpoint import origin_of
from afml.ledger.entries import spend_for
from afml.ledger.receipt import Receipt
from afml.ledger.store import Ledger
from afml.privacy.budget import check
from afml.privacy.noise import round_event
from node.workspace import Workspace


def open_ledger(work: Workspace, kit: NodeKit) -> Ledger:
    """This institution's ledger, one for all its runs."""
    return Ledger.open(work.ledger, kit.signing_key, origin=origin_of(kit.roster.consortium, kit.node))


class Guard:
    """Budget checks and spends of one run for the people enrolled at this node."""

    def __init__(self, ledger: Ledger, config: RunConfig, people: Sequence[str]) -> None:
        self._ledger, self._config, self._people = ledger, config, people

    def spends(self, round_number: int) -> dict[Attempt, tuple[int, ...]]:
        """Cohort of every attempt of a round that this node has spent."""
        return self._ledger.spends(self._config.run, range(round_number, round_number + 1))

    def check(self, round_number: int) -> None:
        """Refuse a round that these people cannot afford, or that the signed plan does not hold.

        An aggregator could call attempt after attempt; the plan's reserve bounds what that costs.

        Raises:
            BudgetError: Says what is left and what would fit.
        """
        run, budget = self._config.run, self._config.budget
        self._require_planned(round_number)
        _, phase = self._config.phase_of(round_number)
        for account in self._ledger.accounts(self._people):
            check(
                budget, account.run(run), round_event(self._config, phase),
                earlier=account.charged_elsewhere(run), where=f"run {run}",
            )  # fmt: skip

    def spend(self, binding: Binding) -> Receipt:
        """Record an attempt's spend durably.

        Raises:
            BudgetError: It would pass the budget or the plan; nothing is recorded.
        """
        self._require_planned(binding.round)
        spend = spend_for(self._config, binding.attempt, binding.cohort)
        return self._ledger.append(spend, self._people, budget=self._config.budget)

    def receipt(self, binding: Binding) -> Receipt | None:
        """The receipt of a spend recorded before a restart, None where this attempt was not spent."""
        return self._ledger.receipt(binding.run, binding.attempt)

    def _require_planned(self, round_number: int) -> None:
        index, phase = self._config.phase_of(round_number)
        first = 1 + sum(earlier.rounds for earlier in self._config.phases[:index])
        planned = phase.rounds + self._config.reserve_attempts
        if len(self._ledger.spends(self._config.run, range(first, first + phase.rounds))) >= planned:
            raise BudgetError(
                f"phase {phase.name} has used the {planned} attempts of its plan ({phase.rounds} rounds, "
                f"{self._config.reserve_attempts} in reserve)",
                where=f"run {self._config.run}",
                cure="start a new run, with more --reserve-attempts",
            )
