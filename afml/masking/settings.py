"""Settings of the masking task: traits, the game, and how records are released."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from afml.core.config import FiniteSettings, Settings
from afml.data.attribute import Attribute
from afml.data.columns import Column, Trait

#: Names of the task's phases: private rounds of the risk model, and of masker and identifier.
RISK, GAME = "risk", "game"


def _left_out(value: object) -> bool:
    """What a run does not use is left out of its canonical JSON: its digest is that of a run without the field."""
    return not value


#: Most numbers per person that a release tells: of traits, classes of attributes and components; as many covariates.
MOST_TRAITS = 16


#: The focus of a run where nobody asks for another: never worse in what was tried (docs/TRAINING.md). The field's own
#: default is what runs are that do not name it.
FOCUS = 64


class RiskSettings(Settings):
    """The risk model: DP regressions on panel-projected dosages (see afml.masking.networks.risk)."""

    panel_components: int = Field(default=10, ge=0, description="top panel PCs projected out")
    kept_sites: int = Field(default=40, ge=1, description="sites left after soft-thresholding")
    phenotypes: int = Field(default=1, ge=1, le=MOST_TRAITS, description="traits learned at once")
    traits: tuple[Trait, ...] = Field(default=(), exclude_if=_left_out, description="their columns, in this order")
    covariates: tuple[Column, ...] = Field(
        default=(), max_length=MOST_TRAITS, exclude_if=_left_out,
        description="columns that predict beside genotypes, unreleased",
    )  # fmt: skip
    kept_components: int = Field(
        default=0, ge=0, le=MOST_TRAITS, exclude_if=_left_out,
        description="top panel PCs that a release should keep: ancestry, public from the start",
    )  # fmt: skip
    focus: int = Field(
        default=0, ge=0, exclude_if=_left_out,
        description="sites of each trait that the last risk rounds measure (afml.masking.focus); 0: all of them",
    )  # fmt: skip
    attributes: tuple[Attribute, ...] = Field(
        default=(), exclude_if=_left_out, description="classes that a release may tell beside traits"
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, given: Any) -> Any:
        """Named traits need no count beside them."""
        traits = given.get("traits") if isinstance(given, dict) else None
        if isinstance(traits, list | tuple) and traits and "phenotypes" not in given:
            return given | {"phenotypes": len(traits)}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.traits and len(self.traits) != self.phenotypes:
            raise ValueError(f"{len(self.traits)} traits are declared and {self.phenotypes} phenotypes")
        if self.kept_components and not self.traits and self.phenotypes > 1:
            raise ValueError("traits beside kept_components need names; declare them as [[traits]]")
        if self.covariates and not self.declared:
            raise ValueError("covariates stand beside traits, and this run declares none; leave them out")
        if self.focus and not self.declared:
            raise ValueError("focus is of risk rounds, and a run that declares no trait has none; leave it out")
        if not self.kept_components and any(one.source == "components" for one in self.attributes):
            raise ValueError("the panel's components tell an attribute of this run; say how many in kept_components")
        if self.scores > MOST_TRAITS:
            raise ValueError(f"a release would tell {self.scores} numbers of everybody, the most are {MOST_TRAITS}")
        names = [column.name for column in (*self.declared, *self.covariates)]
        names += [attribute.name for attribute in self.attributes]
        if len(set(names)) < len(names):
            raise ValueError("two traits, attributes or covariates of the run have the same name")
        return self

    @property
    def diseases(self) -> tuple[Trait, ...]:
        """The traits; where none is named, binary ones called `phenotype`, or `phenotype1`, `phenotype2`, ..."""
        if self.traits or self.kept_components:
            return self.traits
        if self.phenotypes == 1:
            return (Trait(name="phenotype"),)
        return tuple(Trait(name=f"phenotype{number}") for number in range(1, self.phenotypes + 1))

    @property
    def declared(self) -> tuple[Trait, ...]:
        """All that is learned from people: the traits, then the classes of attributes against the rest."""
        learned = [one for one in self.attributes if one.source == "people"]
        return (*self.diseases, *(trait for one in learned for trait in one.one_against_rest))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what is read of each person beside genotypes."""
        learned = [one.name for one in self.attributes if one.source == "people"]
        return (*(one.name for one in self.diseases), *learned, *(one.name for one in self.covariates))

    @property
    def scores(self) -> int:
        """Numbers per person that a release should tell: of all that is learned, then of the components."""
        return len(self.declared) + self.kept_components


#: The two losses of the game, each of which trains one block of parameters.
Loss = Literal["identification", "masking"]
LOSSES: tuple[Loss, ...] = ("identification", "masking")


def _once(losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
    if len(set(losses)) < len(losses):
        raise ValueError("a loss is named twice")
    return tuple(loss for loss in LOSSES if loss in losses)  # one order, so that equal settings have one digest


#: Losses that one kind of data trains.
Stream = Annotated[tuple[Loss, ...], AfterValidator(_once)]


class GameSettings(FiniteSettings):
    """The masking game (see afml.training.game); its variants are described in docs/TRAINING.md.

    Fields with `exclude_if` are written only where they differ from their default.
    """

    objective: Literal["margin", "printed", "confusion"] = "margin"
    steps: int = Field(default=300, ge=0)
    batch: int = Field(default=64, ge=1)
    lineup: int = Field(default=16, ge=2)
    private_lineup: int = Field(default=8, ge=2, description="candidates per line-up in private rounds")
    windows: int = Field(default=64, ge=2, description="sites per window token of the identifier")
    learning_rate: float = Field(default=3e-3, gt=0)
    utility_weight: float = Field(default=8.0, ge=0)
    adversary_weight: float = Field(default=2.0, ge=0)
    site_cost: float = Field(default=0.002, ge=0)
    genotype_error: float = Field(default=0.01, ge=0, lt=1)
    context_scores: int = Field(
        default=4, ge=0, exclude_if=lambda value: value == 4, description="person-level scores of the masker; 0: none"
    )
    normalisation: Literal["group", "batch"] = Field(
        default="group", exclude_if=lambda value: value == "group", description="batch: without private game rounds"
    )
    identification: Literal["lineup", "pairs"] = Field(
        default="lineup", exclude_if=lambda value: value == "lineup", description="question that the identifier answers"
    )
    private: Stream = Field(
        default=LOSSES, exclude_if=lambda value: value == LOSSES, description="losses trained by private game rounds"
    )
    public: Stream = Field(
        default=LOSSES, exclude_if=lambda value: value == LOSSES, description="losses trained on the panel; []: none"
    )


class ReleaseSettings(FiniteSettings):
    """How records are released."""

    method: str = Field(default="auto", pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="a name of afml.release.method")
    patterns: int = Field(default=10, ge=1)
    min_group_size: int = Field(default=20, ge=1)
    fill: Literal["major", "missing"] = Field(
        default="missing", description="what a masked genotype shows: ./., or the commoner allele twice"
    )
    target_rr: float | None = Field(
        default=None, gt=0, le=1, description="a plan is refused until attacks on panel people stay at or below"
    )


class MaskingSettings(FiniteSettings):
    """Everything that a run says of the masking task."""

    risk: RiskSettings = RiskSettings()
    game: GameSettings = GameSettings()
    release: ReleaseSettings = ReleaseSettings()
