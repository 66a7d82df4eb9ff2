"""The public, signed description of a consortium and of one run: what every party must agree on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

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


class Budget(Settings):
    """What a cohort may spend over all runs: epsilon at delta, or PLE in sigma (exactly one)."""

    delta: float = Field(gt=0, lt=1)
    epsilon: float | None = Field(default=None, gt=0)
    ple_sigma: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.epsilon is None) == (self.ple_sigma is None):
            raise ValueError("give exactly one of epsilon and ple_sigma")
        return self


class Phase(Settings):
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


class RiskSettings(Settings):
    """The risk model: DP logistic regression on panel-projected dosages (see afml.models.risk)."""

    panel_components: int = Field(default=10, ge=0, description="top panel PCs projected out")
    kept_sites: int = Field(default=40, ge=1, description="sites left after soft-thresholding")
    phenotypes: int = Field(default=1, ge=1, le=16, description="binary phenotypes learned at once")


class GameSettings(Settings):
    """The masking game (see afml.training.game)."""

    objective: Literal["margin", "printed", "confusion"] = "margin"
    steps: int = Field(default=300, ge=0)
    batch: int = 64
    lineup: int = Field(default=16, ge=2)
    private_lineup: int = Field(default=8, ge=2, description="candidates per line-up in private rounds")
    windows: int = Field(default=64, ge=2, description="sites per window token of the identifier")
    learning_rate: float = 3e-3
    utility_weight: float = 8.0
    adversary_weight: float = 2.0
    site_cost: float = 0.002
    genotype_error: float = 0.01


class ReleaseSettings(Settings):
    """How records are released."""

    method: Literal["auto", "codebook", "greedy", "network"] = "auto"
    patterns: int = Field(default=10, ge=1)
    min_group_size: int = Field(default=20, ge=1)
    fill: Literal["major", "missing"] = "major"
    target_rr: float | None = Field(
        default=None, gt=0, le=1, description="a plan is refused until attacks on panel people stay at or below"
    )


class RunConfig(Settings):
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
