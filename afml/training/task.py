"""The task seam: what a run trains, as the machinery sees it.

A task computes; the guarantee is not its business. `afml.training.step` draws who takes part, `afml.training.clipping`
folds the rows of a person, clips every person and adds them up, `step` adds the noise. All that a task gives of
private people are vectors per row (`Rows`), and nothing it holds is a key, a noise, a ledger or a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.core.errors import ConfigError, IntegrityError
from afml.data.prepared import Prepared
from afml.training.outer import Outer
from afml.training.planning import Plan, Rounds, Terms
from crypto.public.random import RandomSource

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], None]
"""(step, steps) of a public part."""


@dataclass(frozen=True)
class Rows:
    """Unclipped gradients of one block of parameters for the people of one micro-batch.

    Attributes:
        gradients: One tensor [rows, *shape] per parameter of the block, in the order of the update vector, or its
            factors where each person has one row.
        owner: Whose rows they are: how many consecutive rows each person has, or the person's index in the
            micro-batch for every row, int64 [rows].
    """

    gradients: Sequence[torch.Tensor | Outer]
    owner: int | NDArray[np.int64] = 1

    def dense(self) -> list[torch.Tensor]:
        """The gradients, factors multiplied out."""
        return [one.dense() if isinstance(one, Outer) else one for one in self.gradients]


class Enrolled(Protocol):
    """The people that a node trains on, in the form that its task wants them."""

    def __len__(self) -> int:
        """How many people."""
        ...

    def digest(self) -> str:
        """Hex digest of everything that a clipped sum depends on of them: processes of a node compare it."""
        ...


class Model(Protocol):
    """What a run ends with; `afml.training.model.ArrayModel` is one that any task can give."""

    def digest(self) -> str:
        """Hex SHA-256 over arrays and card; equal at all nodes."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model; whole or not at all."""
        ...


class Task(Protocol):
    """What a run trains: parameters, gradients of them, and what becomes of a sum.

    `phase` is an index into `RunConfig.phases`. Whatever changes parameters must come to the same bits at every node:
    elementwise float64 arithmetic does; what does not (linear algebra, training) belongs to the public part, which one
    node makes and all load.
    """

    def length(self, phase: int) -> int:
        """P, the length of the update vector of a phase."""
        ...

    def blocks(self, phase: int) -> tuple[float, ...]:
        """Share of the clip norm that each block of the update is clipped to; their squares add up to 1 at most."""
        ...

    def people_at_once(self, phase: int) -> int:
        """People of a micro-batch: as many as their gradients fit memory."""
        ...

    def gradients(self, phase: int, enrolled: Any, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        """Gradients of some people, a `Rows` for each block; the blocks joined in order are the update vector.

        Args:
            phase: Index of the phase.
            enrolled: The node's people.
            people: Rows of `enrolled`, one per person, [people].
            stream: Source of each person's own randomness: `stream.child(int(person))`.
        """
        ...

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """Step along the sum of a cohort's updates.

        Args:
            phase: Index of the phase.
            total: Sum of clipped gradients plus noise, [P].
            people: Declared enrolment of the cohort's nodes: the only divisor there is.
        """
        ...

    @property
    def has_public_part(self) -> bool:
        """Whether the part that public data alone trains is there; True for a task without one."""
        ...

    def train_public(self, progress: Progress | None = None) -> bytes:
        """Make the public part; changes nothing here: every node, this one too, loads the result."""
        ...

    def load_public(self, blob: bytes) -> None:
        """Take over the public part.

        Raises:
            IntegrityError: Not a public part of this run.
        """
        ...

    def state(self) -> bytes:
        """All parameters, the public part's too, for `load_state`."""
        ...

    def load_state(self, blob: bytes) -> None:
        """Inverse of `state`.

        Raises:
            IntegrityError: Not a state of this run.
        """
        ...

    def digest(self) -> bytes:
        """SHA-256 of the parameters: equal at all nodes after every round."""
        ...

    def model(self) -> Model:
        """The model as it stands."""
        ...

    def load_model(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over the parameters of a saved model of this kind: to begin a run at it, or to predict with it.

        Args:
            arrays: Of the model (`afml.training.model.ArrayModel`).

        Raises:
            ConfigError: They are not those of a model of this task: another name, another shape, no finite number;
                or this kind of task begins at no model.
        """
        ...

    def predict(self, enrolled: Any, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the model says of some people, without dropout or anything else that training adds.

        Exact, and of single people: it stays with the institution whose people they are.

        Args:
            enrolled: People of the node, those of `TaskKind.enrolled` or `TaskKind.held_out`.
            people: Rows of `enrolled`, one per person, [people].

        Returns:
            float64 [rows, outputs]: all rows of these people, person by person, each person's in stored order.

        Raises:
            ConfigError: This kind of task predicts nothing.
        """
        ...


class TaskKind(Protocol):
    """A kind of task: what an entry point of the group `afml.tasks` names."""

    @property
    def data(self) -> tuple[str, ...]:
        """Kinds of data that it trains on, names of `afml.data.kind.DATA_KINDS`."""
        ...

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """The task's settings of a run, validated and completed.

        Raises:
            ConfigError: They are wrong; one line.
        """
        ...

    def check(self, run: RunConfig) -> None:
        """Refuse a run that this task cannot train, before anything is spent.

        Raises:
            ConfigError: One line.
        """
        ...

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """The phases of a run.

        Args:
            given: The task's settings, completed.
            data: What the nodes declare of their data.
            rounds: Rounds that are asked for.
            terms: What they may cost.

        Raises:
            ConfigError: They cannot be had.
        """
        ...

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """P of every phase of a run, known without anybody's data."""
        ...

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> Task:
        """The task at its first parameters, from public data alone.

        Args:
            run: The run configuration, checked.
            public: Folder of what the institution's data kind stored of public data.
            bf16: The public part may be trained under bf16 autocast; private rounds are float32 in any case.

        Raises:
            ConfigError: The public data are not those of the run.
        """
        ...

    def enrolled(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """The people of an institution who take part, as the task wants them.

        Raises:
            InputError: The data lack what the run declares.
        """
        ...

    def held_out(self, run: RunConfig, prepared: Prepared) -> Enrolled:
        """The people of an institution who are kept out of training, in the same form.

        Most kinds say `self.enrolled(run, prepared.held_out)`.

        Raises:
            InputError: As `enrolled`.
        """
        ...


class PredictsNothing:
    """Base of tasks that begin at no saved model and predict nothing."""

    def load_model(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Task.load_model`; always refused."""
        raise ConfigError(
            "this kind of task begins at no saved model", where="model", cure="give a model of a task that predicts"
        )

    def predict(self, enrolled: Any, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Task.predict`; always refused."""
        raise ConfigError(
            "this kind of task predicts nothing", where="model", cure="give a model of a task that predicts"
        )


class NoPublicPart:
    """Base of tasks without a part that public data alone trains."""

    @property
    def has_public_part(self) -> bool:
        """There is none to wait for."""
        return True

    def train_public(self, progress: Progress | None = None) -> bytes:
        """Nothing."""
        return b""

    def load_public(self, blob: bytes) -> None:
        """See `Task.load_public`; there is nothing to take over.

        Raises:
            IntegrityError: Something was sent.
        """
        if blob:
            raise IntegrityError("this task has no public part", cure="fetch it again")
