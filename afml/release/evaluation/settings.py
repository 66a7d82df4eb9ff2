"""What a federated evaluation of releases is told: of which model, for which traits, by which attacks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from afml.core.config import FiniteSettings
from afml.data.columns import Trait
from afml.masking.settings import MOST_TRAITS

LinkedAlone = Literal["likelihood", "masker-aware", "imputation", "kinship", "hidden Markov", "inversion"]
"""Attacks whose score of a record and a candidate depends on nobody else. The trained identifier reads a shortlist of
the candidates, and is none."""
LINKED_ALONE: tuple[LinkedAlone, ...] = (
    "likelihood", "masker-aware", "imputation", "kinship", "hidden Markov", "inversion",
)  # fmt: skip


class ReleaseEvaluationSettings(FiniteSettings):
    """Settings of the task `release-evaluation`.

    All of them shape what is added up, so they are declared before anybody's data is looked at.
    """

    model: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of the model that the files were released by")
    traits: tuple[Trait, ...] = Field(
        default=(), max_length=MOST_TRAITS, description="of the model's run, as it declares them; () for none"
    )
    attacks: tuple[LinkedAlone, ...] = Field(
        default=LINKED_ALONE, min_length=1, description="that every record faces; each costs the others precision"
    )
    candidates: int = Field(
        default=1000, ge=2, le=100_000, description="of each record: the person, and public people in place of others"
    )
    bins: int = Field(default=20, ge=2, le=1000, description="of a score, from -4 to 4 standard deviations")
    recognised_share: float = Field(
        default=0.5, gt=0, lt=1, description="of the squared budget that the re-identification rate gets"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.attacks)) < len(self.attacks):
            raise ValueError("an attack is named twice")
        if len({trait.name for trait in self.traits}) < len(self.traits):
            raise ValueError("two traits have the same name")
        return self
