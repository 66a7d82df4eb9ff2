"""What a run cost this institution's people, as its own ledger tells it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.ledger.spending import worst
from afml.ledger.store import Ledger


class PrivacyStatement(Settings):
    """The largest spend of any person enrolled at a node, over all runs so far."""

    epsilon: float = Field(ge=0)
    delta: float
    ple_sigma: float = Field(ge=0, description="dominating mu, in sigma")
    ple_at_delta: float = Field(ge=0, description="mu of the single (epsilon, delta)")
    accountant: str
    epsilon_if_aggregation_broken: float = Field(ge=0)


def statement(ledger: Ledger, config: RunConfig, people: Sequence[str]) -> PrivacyStatement:
    """Account for everything these people spent, as released and as if aggregation were broken."""
    delta = config.budget.delta
    spent = worst(ledger.accounts(people), delta)
    return PrivacyStatement(
        epsilon=spent.epsilon,
        delta=delta,
        ple_sigma=spent.sigma,
        ple_at_delta=spent.at_delta,
        accountant=spent.accountant,
        epsilon_if_aggregation_broken=worst(ledger.accounts(people, broken=True), delta).epsilon,
    )
