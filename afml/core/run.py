"""The public, signed description of a consortium and of one run: what every party must agree on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from afml.core.config import Settings


class Member(Settings):
    """One institution on the consortium's roster. Keys are hex of raw public keys."""

    node: int = Field(ge=1, le=1024)
    name: str
    signing_key: str = Field(description="Ed25519, 32 bytes")
    sealing_key: str = Field(description="X25519, 32 bytes")


class Roster(Settings):
    """The parties of a consortium. Provisioning makes it; everybody holds the same copy."""

    consortium: str
    coordinator_key: str = Field(description="Ed25519, signs run configurations")
    aggregator_key: str = Field(description="Ed25519, signs transcripts")
    members: tuple[Member, ...]

    def member(self, node: int) -> Member:
        """The roster entry of `node`.

        Raises:
            KeyError: No such node.
        """
        for member in self.members:
            if member.node == node:
                return member
        raise KeyError(node)


class NodeCard(Settings):
    """What an institution declares in public before a run, signed with its roster key."""

    node: int
    site_panel: str
    sites: int
    enrolled: int
    signature: str = ""

    def unsigned(self) -> bytes:
        """The signed bytes."""
        return self.model_copy(update={"signature": ""}).canonical()


class _Finite(Settings):
    """Settings all of whose numbers are finite: no digest can be taken of any other."""

    model_config = ConfigDict(allow_inf_nan=False)


class Budget(_Finite):
    """What a cohort may spend over all runs: epsilon at delta, or PLE in sigma (exactly one)."""

    delta: float = Field(gt=0, lt=1)
    epsilon: float | None = Field(default=None, gt=0)
    ple_sigma: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.epsilon is None) == (self.ple_sigma is None):
            raise ValueError("give exactly one of epsilon and ple_sigma")
        return self


class Phase(_Finite):
    """A stretch of private rounds that train one model with one mechanism.

    `noise_multiplier` is in units of `clip_norm` and is what the *sum of the honest nodes* carries in
    distributed mode, what *each node* carries in local mode.
    """

    name: Literal["risk", "game"]
    rounds: int = Field(ge=1)
    sample_rate: float = Field(gt=0, le=1)
    clip_norm: float = Field(gt=0)
    noise_multiplier: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    parameters: int = Field(default=0, ge=0, description="length of the update vector, declared public")


def _left_out(value: object) -> bool:
    """What a run does not use is left out of its canonical JSON: its digest is that of a run without the field."""
    return not value


class Column(_Finite):
    """A named column of the institutions' phenotype tables, with the public scale of its numbers.

    `centre` and `spread` are about the mean and standard deviation, from the literature or a public data set.
    They are declared, never computed from private people: a statistic of a cohort would have to be paid for.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$", description="heads the column of every table")
    centre: float = 0.0
    spread: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _not_taken(self) -> Self:
        if self.name in ("sample", "role"):
            raise ValueError(f"a column cannot be called {self.name!r}; it heads another one")
        return self


class Trait(Column):
    """What the risk model learns to predict: cases and controls (1 and 0), or a number."""

    kind: Literal["binary", "quantitative"] = "binary"

    @model_validator(mode="after")
    def _scaled(self) -> Self:
        if self.kind == "binary" and (self.centre, self.spread) != (0.0, 1.0):
            raise ValueError(
                f"trait {self.name!r} is binary and has a centre or spread; declare kind = 'quantitative' if it is a "
                "number, or leave them out"
            )
        return self


#: Most traits that one run learns; as many covariates or kept components.
MOST_TRAITS = 16


class RiskSettings(Settings):
    """The risk model: DP regressions on panel-projected dosages (see afml.models.risk)."""

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
        description="no trait: top panel PCs that a release should keep",
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
        if self.kept_components and (self.traits or self.covariates or self.phenotypes > 1):
            raise ValueError("kept_components is for runs without traits; declare traits or components, not both")
        names = [column.name for column in (*self.declared, *self.covariates)]
        if len(set(names)) < len(names):
            raise ValueError("two traits or covariates of the run have the same name")
        return self

    @property
    def declared(self) -> tuple[Trait, ...]:
        """The traits; where none is named, binary ones called `phenotype`, or `phenotype1`, `phenotype2`, ..."""
        if self.traits or self.kept_components:
            return self.traits
        if self.phenotypes == 1:
            return (Trait(name="phenotype"),)
        return tuple(Trait(name=f"phenotype{number}") for number in range(1, self.phenotypes + 1))

    @property
    def scores(self) -> int:
        """Numbers per person that a release should tell: of the traits' risks, or of the components."""
        return self.kept_components or self.phenotypes


#: The two losses of the game, each of which trains one block of parameters.
Loss = Literal["identification", "masking"]
LOSSES: tuple[Loss, ...] = ("identification", "masking")


def _once(losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
    if len(set(losses)) < len(losses):
        raise ValueError("a loss is named twice")
    return tuple(loss for loss in LOSSES if loss in losses)  # one order, so that equal settings have one digest


#: Losses that one kind of data trains.
Stream = Annotated[tuple[Loss, ...], AfterValidator(_once)]


class GameSettings(_Finite):
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


class ReleaseSettings(_Finite):
    """How records are released."""

    method: Literal["auto", "codebook", "greedy", "network"] = "auto"
    patterns: int = Field(default=10, ge=1)
    min_group_size: int = Field(default=20, ge=1)
    fill: Literal["major", "missing"] = "major"
    target_rr: float | None = Field(
        default=None, gt=0, le=1, description="a plan is refused until attacks on panel people stay at or below"
    )


class RunConfig(_Finite):
    """One run. Signed by the coordinator; its digest is in every message."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="also names folders")
    consortium: str
    site_panel: str = Field(description="hex digest of the agreed site panel")
    sites: int = Field(ge=1)
    enrolled: dict[int, int] = Field(description="node -> people enrolled in training, declared public")
    quorum: int = Field(ge=1)
    max_colluding: int = Field(default=1, ge=0)
    noise: Literal["distributed", "local"] = "distributed"
    bits: int = Field(default=16, ge=2, le=24)
    budget: Budget
    reserve_attempts: int = Field(default=1, ge=0)
    deadline_s: float = Field(default=300.0, gt=0, description="seconds a round may wait for a member")
    public_deadline_s: float = Field(default=3600.0, gt=0, description="seconds the panel part may take")
    phases: tuple[Phase, ...]
    risk: RiskSettings = RiskSettings()
    game: GameSettings = GameSettings()
    release: ReleaseSettings = ReleaseSettings()
    seed: int | None = Field(default=None, description="simulation only: marks every ledger entry insecure")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.quorum > len(self.enrolled):
            raise ValueError(f"quorum {self.quorum} is above the {len(self.enrolled)} enrolled nodes")
        if self.noise == "distributed" and self.quorum < self.max_colluding + 2:
            raise ValueError(
                f"distributed noise needs quorum >= max_colluding + 2 = {self.max_colluding + 2}, not {self.quorum}; "
                "raise the quorum or use noise = 'local'"
            )
        if self.risk.kept_components >= self.sites:
            raise ValueError(
                f"a release at {self.sites} sites cannot keep {self.risk.kept_components} components; "
                "lower kept_components or prepare more sites"
            )
        if self.risk.kept_components and any(phase.name == "risk" for phase in self.phases):
            raise ValueError("no trait is declared, so risk rounds would spend budget and learn nothing")
        if any(phase.name == "game" for phase in self.phases):
            if self.game.normalisation == "batch":
                raise ValueError(
                    "batch normalisation mixes people, so private game rounds would have no per-person gradients; "
                    "use game.normalisation = 'group' or no private game rounds"
                )
            if not self.game.private:
                raise ValueError(
                    "game.private is empty, so private game rounds would spend budget and train nothing; "
                    "name a loss or use no private game rounds"
                )
        return self

    @property
    def nodes(self) -> tuple[int, ...]:
        """Node numbers, ascending."""
        return tuple(sorted(self.enrolled))

    @property
    def rounds(self) -> int:
        """Private rounds over all phases."""
        return sum(phase.rounds for phase in self.phases)

    def phase_of(self, round_number: int) -> tuple[int, Phase]:
        """(index, phase) that private round `round_number` (1-based) belongs to."""
        last = 0
        for index, phase in enumerate(self.phases):
            last += phase.rounds
            if round_number <= last:
                return index, phase
        raise IndexError(f"round {round_number} of {self.rounds}")
