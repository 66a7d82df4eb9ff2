"""Settings of an association scan: trait, covariates, and how the budget is shared between its releases."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from afml.core.config import FiniteSettings
from afml.data.columns import Column, Trait

#: Names of the phases: cross products of what explains the trait; scores of all sites; those of the strongest again.
CROSS, SCORES, FOLLOW = "cross", "scores", "follow"
MOST_COVARIATES = 16
MOST_COMPONENTS = 20
#: Least noise multiplier of a phase: what a run with less would release is nearly the exact scan.
LEAST_NOISE = 0.2


class GwasSettings(FiniteSettings):
    """Everything that a run says of an association scan."""

    trait: Trait = Field(description="column of the institutions' phenotype tables")
    covariates: tuple[Column, ...] = Field(default=(), max_length=MOST_COVARIATES, description="adjusted for")
    components: int = Field(
        default=10,
        ge=0,
        le=MOST_COMPONENTS,
        description="the public panel's principal components that are adjusted for",
    )
    cross_share: float = Field(
        default=0.05, gt=0, lt=1, description="part of the squared budget that the first release takes"
    )
    followed: int = Field(
        default=200, ge=0, description="strongest sites whose scores are released again, with much less noise: at most "
        "a tenth of all sites; 0: none"
    )  # fmt: skip
    follow_share: float = Field(default=0.25, gt=0, lt=1, description="part of what is left of it that this takes")
    residual_bound: float | None = Field(
        default=None, gt=0, le=4,
        description="residuals of a quantitative trait are pulled in to so many of their standard deviations; None: "
        "what public numbers say is best",
    )  # fmt: skip
    block_sites: int = Field(
        default=64, ge=1, le=512, description="most sites of a block of linked ones whose scores are released together"
    )
    assembly: str = Field(default="", max_length=40, description="of the sites' positions: GRCh38, say; for the files")

    @model_validator(mode="after")
    def _different(self) -> Self:
        names = [column.name for column in (self.trait, *self.covariates)]
        if len(set(names)) < len(names):
            raise ValueError("the trait and the covariates are different columns")
        return self

    def follows(self, sites: int) -> int:
        """How many of so many sites are looked at again."""
        return min(self.followed, sites // 10)

    @property
    def explained_by(self) -> int:
        """Numbers of a person, beside the constant, that the trait is adjusted for."""
        return len(self.covariates) + self.components
