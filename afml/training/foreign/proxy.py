"""Stand-ins at the node for a task that runs elsewhere.

Two processes serve a task. The *blind* one holds the parameters and everything that leaves: state, digests, the public
part, the model. It never sees a person. The *seeing* one is given the people and, before each micro-batch, the blind
one's state, and gives gradients, which are clipped, summed and noised here. So people leave the task's code in a noised
sum alone; that a row speaks of its own person is tried and not enforced (docs/design/foreign-tasks.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.core.errors import ProtocolError
from afml.data.prepared import Prepared
from afml.training.foreign.asking import has_public_part, open_task, replayed, send_model
from afml.training.foreign.messages import Message
from afml.training.foreign.process import TaskProcess
from afml.training.foreign.reading import bytes_in, rows_in, understood
from afml.training.model import ArrayModel, Arrays, run_card
from afml.training.planning import Plan, Rounds, Terms
from afml.training.registry import InstalledTask
from afml.training.task import Enrolled, Progress, Rows
from crypto.public.random import RandomSource

#: Names of a model's arrays; numpy's archives would take two others for arguments of its own.
_NAME = re.compile(r"(?!file$|allow_pickle$)[A-Za-z0-9_.-]{1,200}")


class GivenSettings(Settings):
    """Settings of a task that only the task understands, as it completed them."""

    values: dict[str, Any]

    def model_dump(self, **_: Any) -> dict[str, Any]:
        """The values themselves."""
        return dict(self.values)


class ForeignKind:
    """A `TaskKind` whose code is never imported into this process.

    Args:
        installed: The task.
        prepared: The institution's data, where it will be opened on any; a process can be given nothing later.
    """

    def __init__(self, installed: InstalledTask, prepared: Prepared | None = None) -> None:
        self._installed, self._prepared = installed, prepared
        self._blind: TaskProcess | None = None  # answers for the kind until a task takes it over

    @cached_property
    def data(self) -> tuple[str, ...]:
        """See `TaskKind.data`."""
        answer = self._ask("describe", {})
        with understood("kinds of data"):
            return tuple(map(str, answer.fields["data"]))

    def settings(self, given: Mapping[str, Any]) -> GivenSettings:
        """See `TaskKind.settings`."""
        answer = self._ask("settings", {"given": dict(given)})
        with understood("settings"):
            return GivenSettings(values=answer.fields["settings"])

    def check(self, run: RunConfig) -> None:
        """See `TaskKind.check`."""
        self._ask("check", {"run": run.model_dump(mode="json")})

    def plan(self, given: Mapping[str, Any], data: DataAgreement, rounds: Rounds, terms: Terms) -> Plan:
        """See `TaskKind.plan`."""
        fields = {
            "given": dict(given),
            "data": data.model_dump(mode="json"),
            "rounds": rounds.model_dump(mode="json"),
            "terms": terms.model_dump(mode="json"),
        }
        answer = self._ask("plan", fields)
        with understood("a plan"):
            return Plan.model_validate(answer.fields["plan"])

    def lengths(self, run: RunConfig) -> tuple[int, ...]:
        """See `TaskKind.lengths`."""
        answer = self._ask("lengths", {"run": run.model_dump(mode="json")})
        with understood("lengths"):
            return tuple(map(int, answer.fields["lengths"]))

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> ForeignTask:
        """See `TaskKind.task`."""
        process = self._blind or self._start()
        self._blind = None
        return ForeignTask(process, run, public, bf16=bf16)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> ForeignEnrolled:
        """See `TaskKind.enrolled`."""
        return ForeignEnrolled(self._seeing(prepared), run, prepared)

    def held_out(self, run: RunConfig, prepared: Prepared) -> ForeignEnrolled:
        """See `TaskKind.held_out`; in a process of their own."""
        return ForeignEnrolled(self._seeing(prepared), run, prepared, held_out=True)

    def _seeing(self, prepared: Prepared) -> TaskProcess:
        return TaskProcess(self._installed, [prepared.public, prepared.private, prepared.table])

    def _start(self) -> TaskProcess:
        return TaskProcess(self._installed, [] if self._prepared is None else [self._prepared.public])

    def _ask(self, name: str, fields: dict[str, Any]) -> Message:
        if self._blind is None:
            self._blind = self._start()
        return self._blind.ask(name, fields)


class ForeignEnrolled:
    """The people, in the seeing process."""

    def __init__(self, process: TaskProcess, run: RunConfig, prepared: Prepared, *, held_out: bool = False) -> None:
        self._process = process
        open_task(process, run, prepared.public, bf16=False)
        places = {"folder": str(prepared.folder.resolve()), "table": str(prepared.table.resolve())}
        whose = {"data": prepared.data.model_dump(mode="json"), "role": prepared.role, "held_out": held_out}
        told = process.ask("open_enrolled", places | whose).fields
        with understood("a number of people"):
            self._people, self._digest = int(told["people"]), str(told["digest"])
        #: Of the state that it holds, see `ForeignTask`; None before the first.
        self.version: object = None
        self._model: Arrays | None = None

    def __len__(self) -> int:
        return self._people

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        return self._digest

    def gradients(self, phase: int, people: NDArray[np.int64], stream: RandomSource) -> list[Rows]:
        """Gradients of these people at the parameters that were taken last."""
        answer = self._process.ask("gradients", {"phase": phase, "stream": replayed(stream)}, [people])
        return rows_in(answer)

    def predict(self, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predictions of these people's rows at the parameters that were taken last."""
        answer = self._process.ask("predict", arrays=[people])
        if len(answer.arrays) != 1 or answer.arrays[0].ndim != 2:
            raise ProtocolError("gave no predictions where some were asked for", where="process of a task")
        return np.array(answer.arrays[0], np.float64)

    def take(self, version: object, state: bytes, model: Arrays | None) -> None:
        """Bring this process to where the blind one is.

        Args:
            version: Of the state.
            state: See `Task.state`.
            model: The saved model that was loaded last; a state may lack parts of it that are not trained.
        """
        if model is not None and model is not self._model:
            send_model(self._process, model)
        self._process.ask("load_state", arrays=[np.frombuffer(state, np.uint8)])
        self.version, self._model = version, model

    def close(self) -> None:
        """End the process; nothing is asked of these people any more."""
        self._process.close()


class ForeignTask:
    """A `Task` whose parameters the blind process holds."""

    def __init__(self, process: TaskProcess, run: RunConfig, public: Path, *, bf16: bool) -> None:
        self._process, self._run = process, run
        told, phases = open_task(process, run, public, bf16=bf16), range(len(run.phases))
        with understood("a description of its phases"):
            self._lengths = [int(told["lengths"][phase]) for phase in phases]
            self._blocks = [tuple(map(float, told["blocks"][phase])) for phase in phases]
            self._at_once = [max(1, int(told["people_at_once"][phase])) for phase in phases]
            self._public_part = bool(told["has_public_part"])
        self._kept: bytes | None = None  # the state, until somebody asks for it or something changes it
        self._version = object()
        self._started: Arrays | None = None  # the saved model that was loaded last
        self.model().digest()  # what could not be saved is refused now, before anything is spent on it

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        return self._lengths[phase]

    def blocks(self, phase: int) -> tuple[float, ...]:
        """See `Task.blocks`."""
        return self._blocks[phase]

    def people_at_once(self, phase: int) -> int:
        """See `Task.people_at_once`."""
        return self._at_once[phase]

    def gradients(
        self, phase: int, enrolled: ForeignEnrolled, people: NDArray[np.int64], stream: RandomSource
    ) -> list[Rows]:
        """See `Task.gradients`."""
        self._bring(enrolled)
        return enrolled.gradients(phase, people, stream)

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """See `Task.apply`."""
        self._changed()
        self._process.ask("apply", {"phase": phase, "people": people}, [total])

    @property
    def has_public_part(self) -> bool:
        """See `Task.has_public_part`."""
        return self._public_part

    def train_public(self, progress: Progress | None = None) -> bytes:
        """See `Task.train_public`; made where nobody's data can be seen."""
        return bytes_in(self._process.ask("train_public"))

    def load_public(self, blob: bytes) -> None:
        """See `Task.load_public`."""
        self._changed()
        self._process.ask("load_public", arrays=[np.frombuffer(blob, np.uint8)])
        self._public_part = True

    def state(self) -> bytes:
        """See `Task.state`."""
        if self._kept is None:
            self._kept = bytes_in(self._process.ask("state"))
        return self._kept

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        self._changed()
        told = self._process.ask("load_state", arrays=[np.frombuffer(blob, np.uint8)]).fields
        self._public_part = has_public_part(told)

    def digest(self) -> bytes:
        """See `Task.digest`."""
        return bytes_in(self._process.ask("digest"))

    def model(self) -> ArrayModel:
        """See `Task.model`."""
        answer = self._process.ask("model")
        with understood("a model"):
            names = [str(name) for name in answer.fields["names"]]
            card = dict(answer.fields["card"])
        if not len(set(names)) == len(names) == len(answer.arrays):
            raise ProtocolError(
                f"gave {len(answer.arrays)} arrays of its model by {len(set(names))} names",
                where="process of a task",
                cure="mend the task: a name for each array",
            )
        if not all(_NAME.fullmatch(name) for name in names):
            raise ProtocolError(
                "names an array of its model as no array can be named",
                where="process of a task",
                cure="use letters and digits",
            )
        # Of what run it is the node says, not the task.
        return ArrayModel(dict(zip(names, answer.arrays, strict=True)), card | run_card(self._run))

    def load_model(self, arrays: Arrays) -> None:
        """See `Task.load_model`."""
        self._changed()
        told = send_model(self._process, arrays)
        self._started, self._public_part = dict(arrays), has_public_part(told)

    def predict(self, enrolled: ForeignEnrolled, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Task.predict`; the seeing process is asked."""
        self._bring(enrolled)
        return enrolled.predict(people)

    def _changed(self) -> None:
        """From now on the state is another one."""
        self._version, self._kept = object(), None

    def _bring(self, enrolled: ForeignEnrolled) -> None:
        """Bring the people's process to where the blind one is."""
        if enrolled.version is not self._version:
            enrolled.take(self._version, self.state(), self._started)
            self._kept = None  # as long as the model, and not asked for again before it changes


def let_go(enrolled: Enrolled) -> None:
    """End the process of people who are not asked about again; of a task within the node there is none."""
    if isinstance(enrolled, ForeignEnrolled):
        enrolled.close()
