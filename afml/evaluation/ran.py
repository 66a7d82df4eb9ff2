"""Sections of report.json that say what was run: who asked, on which people, at what privacy loss, at what cost."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from afml.core.config import Settings

Share = Field(ge=0, le=1)


class Section(Settings):
    """A part of a result file: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AboutSection(Section):
    """Which run this is, and who asked."""

    consortium: str
    run: str
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\d$", description="day, UTC")
    command: str = Field(description="of files and folders the names alone")
    configuration: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of the signed run")
    model: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of the trained model")
    institution: str | None = Field(
        default=None,
        exclude_if=lambda origin: origin is None,
        description="whose own report it is, by the name of its ledger; absent where it is about several",
    )


class DataSection(Section):
    """What was evaluated."""

    kind: Literal["simulated", "vcf"]
    people: int = Field(ge=1, description="private people over all nodes, held-out people included")
    panel: int = Field(ge=0, description="people of the public panel; 0 where it is known by frequencies alone")
    panel_drawn: int = Field(
        default=0, ge=0, exclude_if=lambda people: people == 0, description="people drawn from allele frequencies"
    )
    sites: int = Field(ge=1)
    nodes: int = Field(ge=1)


class PrivacySection(Section):
    """What the trained model and the exchanged updates may reveal about a person; not about records."""

    unit: Literal["person"] = "person"
    insecure: bool = Field(default=False, description="a simulation: it protects nobody, and the figures are null")
    epsilon: float | None = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    ple_sigma: float | None = Field(ge=0, description="dominating mu, in sigma; null: infinite")
    ple_at_delta: float | None = Field(ge=0, description="mu of the single accounted (epsilon, delta), in sigma")
    ple_sigma_fixed_plan: float | None = Field(
        default=None, ge=0, description="the same if all runs had been fixed in advance; null where it is not known"
    )
    noise: Literal["local", "distributed"]
    epsilon_if_aggregation_broken: float | None = Field(ge=0)
    audited_ple_lower: float | None = Field(default=None, ge=0, description="sigma; null where no audit was run")

    @model_validator(mode="after")
    def _figures_or_none(self) -> Self:
        figures = (self.epsilon, self.ple_sigma, self.ple_at_delta, self.epsilon_if_aggregation_broken)
        if any((figure is None) != self.insecure for figure in figures) or (
            self.insecure and self.ple_sigma_fixed_plan is not None
        ):
            raise ValueError("a simulation states no figure, any other run states all")
        return self


class FederationSection(Section):
    """What the encrypted rounds cost."""

    rounds: int = Field(ge=0)
    parameters: int = Field(ge=0, description="of one update")
    bytes_up_per_round: int = Field(ge=0, description="one node to the aggregator")
    bytes_up_per_parameter: float = Field(ge=0)
    seconds_per_round: float = Field(ge=0)
    aggregator_rss_mb: float = Field(ge=0, description="peak resident memory, 10^6 bytes")
