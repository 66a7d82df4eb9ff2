"""The signed description of one run: what every party must agree on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from afml.consortium.card import DataAgreement, Role
from afml.core.config import FiniteSettings, Signed, canonical_json, later, require_shallow
from afml.core.errors import ConfigError
from crypto.public.params import MOST_BITS
from crypto.public.suites import CLASSICAL, KeyAgreement

#: Of run files; a file of another one is refused, since the same words would not mean the same.
FORMAT: Literal[3] = 3
DEEPEST = 32
"""Nesting of a task's settings."""
MOST = 10**9
"""Of rounds, attempts and people: beyond it arithmetic ends before the budget does."""
LEAST = 1e-6
"""Of noise and sample rates, likewise."""


RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Budget(FiniteSettings):
    """What a cohort may spend over all runs: epsilon at delta, or PLE in sigma (exactly one)."""

    delta: float = Field(gt=0, lt=1)
    epsilon: float | None = Field(default=None, gt=0)
    ple_sigma: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.epsilon is None) == (self.ple_sigma is None):
            raise ValueError("give exactly one of epsilon and ple_sigma")
        return self


class Phase(FiniteSettings):
    """A stretch of private rounds that train one model with one mechanism.

    `noise_multiplier` is in units of `clip_norm` and is what the *sum of the honest nodes* carries in
    distributed mode, what *each node* carries in local mode.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="the task's own word for it")
    rounds: int = Field(ge=1, le=MOST)
    sample_rate: float = Field(ge=LEAST, le=1)
    clip_norm: float = Field(gt=0)
    noise_multiplier: float = Field(ge=LEAST, le=1 / LEAST)
    learning_rate: float = Field(gt=0)
    parameters: int = Field(default=0, ge=0, description="length of the update vector, declared public")
    needs_public: bool = later(
        False,
        description="its rounds begin once the task's public part is there",
    )


class TaskChoice(FiniteSettings):
    """What a run trains, so exactly that an institution knows what code would run on its people.

    Attributes:
        kind: Name of the task's entry point in the group `afml.tasks`.
        version: Of the task's package.
        code: Hex SHA-256 of the package's source (afml.training.registry); every node compares it with its own.
        settings: The task's own; it alone validates them.
    """

    kind: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    version: str
    code: str = Field(pattern=r"^([0-9a-f]{64})?$")
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("settings")
    @classmethod
    def _sayable(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A digest must be of these very settings: NaN would be signed as null, and half a character not at all."""
        require_shallow(settings, DEEPEST)
        try:
            canonical_json(settings)
        except (TypeError, ValueError):
            raise ValueError("holds a number or a text that no JSON can say") from None
        return settings


class RunConfig(Signed, FiniteSettings):
    """One run. Signed by the coordinator; its digest is in every message."""

    format: Literal[3] = FORMAT
    run: str = Field(pattern=RUN_NAME, description="also names folders")
    consortium: str
    roster: str = later(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="digest of the version of the roster that holds for this run; none: the first one",
    )
    task: TaskChoice
    data: DataAgreement = Field(description="that every node's card declares")
    enrolled: dict[int, int] = Field(description="node -> people who take part, declared public")
    people: Role = later(
        "train",
        description="which people take part: those enrolled in training, or those kept out of it",
    )
    quorum: int = Field(ge=1)
    max_colluding: int = Field(default=1, ge=0)
    noise: Literal["distributed", "local"] = "distributed"
    exact_noise: bool = later(
        False,
        description="noise and rounding are those of real numbers, proven (docs/design/noise.md); none: of float64",
    )
    bits: int = Field(default=16, ge=2, le=MOST_BITS, description="of a coordinate of the sum (afml.privacy.noise)")
    backend: str = Field(default="ckks", description="how updates are hidden in the sum (crypto.public.backend)")
    key_agreement: KeyAgreement = later(
        CLASSICAL,
        description="how nodes agree on the keys of the run (docs/design/postquantum.md); none: by X25519 alone",
    )
    budget: Budget
    enrolments_per_person: int = Field(
        default=1, ge=1, description="institutions of this run that one person may be enrolled at; noise grows with it"
    )
    reserve_attempts: int = Field(default=1, ge=0, le=MOST)
    deadline_s: float = Field(default=300.0, gt=0, description="seconds a round may wait for a member")
    enrolment_grace_s: float | None = later(
        None,
        gt=0,
        description="seconds that others are waited for once a quorum has enrolled; none: `deadline_s`",
    )
    linger_s: float | None = later(
        None,
        gt=0,
        description="seconds that the model stays on offer for nodes that were away at the end; none: `deadline_s`",
    )
    public_deadline_s: float = Field(default=3600.0, gt=0, description="seconds the public part may take")
    public_part: bool = Field(default=False, description="the task has a part that is trained on public data")
    phases: tuple[Phase, ...]
    start: str = later(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="digest of the saved model that the task begins at, which every node has; none: the task's own",
    )
    seed: int | None = Field(default=None, description="simulation only: marks every ledger entry insecure")
    verified_sums: bool = later(
        False,
        description="every update carries a check value, and no node applies a sum that does not have its own",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.phases:
            raise ValueError("has no phases: nothing would be trained")
        if empty := [node for node, people in sorted(self.enrolled.items()) if people < 1]:
            raise ValueError(f"node {empty[0]} enrols {self.enrolled[empty[0]]} people; each has one at least")
        if self.quorum > len(self.enrolled):
            raise ValueError(f"quorum {self.quorum} is above the {len(self.enrolled)} enrolled nodes")
        if self.enrolments_per_person > max(1, len(self.enrolled)):
            raise ValueError(f"nobody can be enrolled at {self.enrolments_per_person} of {len(self.enrolled)} nodes")
        if self.noise == "distributed" and self.quorum < self.max_colluding + 2:
            raise ValueError(
                f"distributed noise needs quorum >= max_colluding + 2 = {self.max_colluding + 2}, not {self.quorum}; "
                "raise the quorum or use noise = 'local'"
            )
        if not self.public_part and any(phase.needs_public for phase in self.phases):
            raise ValueError("a phase needs a public part and the task has none")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run file.

        Raises:
            ConfigError: It was made by a version of AFML that described runs otherwise, or does not say at how many
                institutions a person may be enrolled: what the noise is made for is somebody's signed word.
            InputError: As `Settings.load`.
        """
        stored = _stored(path)
        found = None if stored is None else stored.get("format", 1)
        if found is not None and found != FORMAT:
            newer = isinstance(found, int) and found > FORMAT
            raise ConfigError(
                f"is a run file of format {found}; this version of AFML reads format {FORMAT}",
                where=path,
                cure="update AFML here" if newer else "have the coordinator make a new one with `afml configure`",
            )
        if stored is not None and "enrolments_per_person" not in stored:
            raise ConfigError(
                "does not say at how many institutions a person may be enrolled",
                where=path,
                cure="have the coordinator make a new one with `afml configure`",
            )
        return super().load(path)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Node numbers, ascending."""
        return tuple(sorted(self.enrolled))

    @property
    def grace_s(self) -> float:
        """Seconds that others are waited for once a quorum has enrolled."""
        return self.enrolment_grace_s or self.deadline_s

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


def _stored(path: Path) -> dict[str, Any] | None:
    """What a run file says, unchecked; None where it is no run file at all."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return stored if isinstance(stored, dict) and "phases" in stored else None
