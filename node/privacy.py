"""What a run cost this institution's people, as its own ledger tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from afml.consortium.run import Budget
from afml.core.bounded import at_most
from afml.core.config import Settings
from afml.core.simulation import SIMULATION
from afml.ledger.simulation import simulated
from afml.ledger.spending import fixed_plan, worst
from afml.ledger.store import Ledger


class PrivacyStatement(Settings):
    """The largest spend of any person enrolled at a node, over all runs so far.

    `epsilon` and `ple_sigma` hold although later runs may have been chosen because of what earlier ones returned (the
    filter of docs/PRIVACY.md, section 5); the values of a fixed plan hold only if all runs had been fixed in advance.
    In a simulation nothing bounds the spend: every figure but delta is null.
    """

    insecure: bool = Field(default=False, description="somebody took part in a simulation, which protects nobody")
    epsilon: float | None = Field(ge=0)
    delta: float = Field(description="the site's own")
    ple_sigma: float | None = Field(ge=0, description="dominating mu, in sigma")
    ple_at_delta: float | None = Field(ge=0, description="mu of the single (epsilon, delta)")
    accountant: str
    epsilon_fixed_plan: float | None = Field(ge=0)
    ple_sigma_fixed_plan: float | None = Field(ge=0)
    epsilon_if_aggregation_broken: float | None = Field(ge=0)

    @model_validator(mode="after")
    def _figures_or_none(self) -> Self:
        missing = [name for name in _FIGURES if getattr(self, name) is None]
        if missing != (list(_FIGURES) if self.insecure else []):
            raise ValueError("a simulation states no figure, any other run states all")
        return self

    def of_simulation(self) -> Self:
        """The same of people who took part in a simulation."""
        return type(self).model_validate(
            self.model_dump() | dict.fromkeys(_FIGURES) | {"insecure": True, "accountant": SIMULATION}
        )

    @property
    def ple(self) -> str:
        """The PLE in words."""
        return f"infinite, {SIMULATION}" if self.ple_sigma is None else f"{at_most(self.ple_sigma)} sigma"


_FIGURES = (
    "epsilon", "ple_sigma", "ple_at_delta", "epsilon_fixed_plan", "ple_sigma_fixed_plan",
    "epsilon_if_aggregation_broken",
)  # fmt: skip


def statement(ledger: Ledger, lifetime: Budget, people: Sequence[str]) -> PrivacyStatement:
    """Account for everything these people spent, as released and as if aggregation were broken.

    Args:
        ledger: The institution's.
        lifetime: Its own budget: at this delta it accounts.
        people: Ids.
    """
    found = ledger.accounts(people)
    spent, fixed = worst(found, lifetime).filter, fixed_plan(found, lifetime.delta)
    broken = worst(ledger.accounts(people, broken=True), lifetime).filter
    stated = PrivacyStatement(
        epsilon=spent.epsilon,
        delta=lifetime.delta,
        ple_sigma=spent.sigma,
        ple_at_delta=spent.at_delta,
        accountant=spent.accountant,
        epsilon_fixed_plan=fixed.epsilon,
        ple_sigma_fixed_plan=fixed.sigma,
        epsilon_if_aggregation_broken=broken.epsilon,
    )
    return stated.of_simulation() if simulated(ledger.database, found) else stated
