"""The process of another package's task: confined first, then imported, then asked.

    python -m afml.training.foreign.child REQUESTS ANSWERS MEMORY    (numbers of inherited descriptors)

Its first message says what it may read. It answers requests until they end. An error of the task becomes its type and
the place where it was raised; its message, which could hold somebody's data, goes to task.log in the scratch folder of
this process and nowhere else.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from afml.data.prepared import Prepared
from afml.training.foreign.buffer import SharedBuffer
from afml.training.foreign.messages import Message, bytes_of, receive, send
from afml.training.foreign.sandbox import confine
from afml.training.planning import Rounds, Terms
from afml.training.registry import InstalledTask
from afml.training.task import Enrolled, Rows, Task, TaskKind
from crypto.public.random import source

Answer = Callable[[Message], Message]
OK = "ok"


class Server:
    """Answers what a node asks of a task.

    Args:
        kind: The task's kind, imported.
    """

    def __init__(self, kind: TaskKind) -> None:
        self._kind = kind
        self._run: RunConfig | None = None
        self._task: Task | None = None
        self._enrolled: Enrolled | None = None

    def answer(self, asked: Message) -> Message:
        """The answer to one request."""
        return getattr(self, f"_{asked.name}")(asked)

    def _describe(self, _: Message) -> Message:
        return Message(OK, {"data": list(self._kind.data)})

    def _settings(self, asked: Message) -> Message:
        return Message(OK, {"settings": self._kind.settings(asked.fields["given"]).model_dump(mode="json")})

    def _check(self, asked: Message) -> Message:
        self._kind.check(RunConfig.model_validate(asked.fields["run"]))
        return Message(OK)

    def _plan(self, asked: Message) -> Message:
        fields = asked.fields
        plan = self._kind.plan(
            fields["given"],
            DataAgreement.model_validate(fields["data"]),
            Rounds.model_validate(fields["rounds"]),
            Terms.model_validate(fields["terms"]),
        )
        return Message(OK, {"plan": plan.model_dump(mode="json")})

    def _lengths(self, asked: Message) -> Message:
        lengths = self._kind.lengths(RunConfig.model_validate(asked.fields["run"]))
        return Message(OK, {"lengths": [int(length) for length in lengths]})

    def _open_task(self, asked: Message) -> Message:
        run = self._run = RunConfig.model_validate(asked.fields["run"])
        task = self._task = self._kind.task(run, Path(asked.fields["public"]), bf16=asked.fields["bf16"])
        phases = range(len(run.phases))
        return Message(
            OK,
            {
                "lengths": [int(task.length(phase)) for phase in phases],
                "blocks": [list(map(float, task.blocks(phase))) for phase in phases],
                "people_at_once": [int(task.people_at_once(phase)) for phase in phases],
                "has_public_part": bool(task.has_public_part),
            },
        )

    def _open_enrolled(self, asked: Message) -> Message:
        assert self._run is not None
        data = DataAgreement.model_validate(asked.fields["data"])
        prepared = Prepared(Path(asked.fields["folder"]), Path(asked.fields["table"]), data, asked.fields["role"])
        people_of = self._kind.held_out if asked.fields["held_out"] else self._kind.enrolled
        enrolled = self._enrolled = people_of(self._run, prepared)
        return Message(OK, {"people": len(enrolled), "digest": str(enrolled.digest())})

    def _gradients(self, asked: Message) -> Message:
        task, path = self._opened(), asked.fields["stream"]
        stream = source(None) if path is None else source(*path)
        phase, people = asked.fields["phase"], np.asarray(asked.arrays[0], np.int64)
        blocks = task.gradients(phase, self._enrolled, people, stream)
        told, arrays = [], []
        for block in blocks:
            gradients, owner = _numbers(block)
            told.append({"parameters": len(gradients), "owner": owner if isinstance(owner, int) else None})
            arrays += gradients if isinstance(owner, int) else [*gradients, owner]
        return Message(OK, {"blocks": told}, arrays)

    def _apply(self, asked: Message) -> Message:
        self._opened().apply(asked.fields["phase"], np.asarray(asked.arrays[0], np.float64), asked.fields["people"])
        return Message(OK)

    def _train_public(self, _: Message) -> Message:
        return _bytes(self._opened().train_public())

    def _load_public(self, asked: Message) -> Message:
        self._opened().load_public(bytes_of(asked.arrays[0]))
        return Message(OK)

    def _state(self, _: Message) -> Message:
        return _bytes(self._opened().state())

    def _load_state(self, asked: Message) -> Message:
        task = self._opened()
        task.load_state(bytes_of(asked.arrays[0]))
        return Message(OK, {"has_public_part": bool(task.has_public_part)})

    def _digest(self, _: Message) -> Message:
        return _bytes(self._opened().digest())

    def _model(self, _: Message) -> Message:
        model: Any = self._opened().model()
        names = list(model.arrays)
        return Message(OK, {"names": names, "card": model.card}, [np.asarray(model.arrays[name]) for name in names])

    def _load_model(self, asked: Message) -> Message:
        task = self._opened()
        task.load_model(dict(zip(asked.fields["names"], map(np.array, asked.arrays), strict=True)))
        return Message(OK, {"has_public_part": bool(task.has_public_part)})

    def _predict(self, asked: Message) -> Message:
        people = np.asarray(asked.arrays[0], np.int64)
        return Message(OK, {}, [np.asarray(self._opened().predict(self._enrolled, people), np.float64)])

    def _opened(self) -> Task:
        assert self._task is not None
        return self._task


def _numbers(block: Rows) -> tuple[list[Any], Any]:
    gradients = [gradient.detach().cpu().numpy() for gradient in block.dense()]
    return gradients, block.owner if isinstance(block.owner, int) else np.asarray(block.owner, np.int64)


def _bytes(data: bytes) -> Message:
    return Message(OK, {}, [np.frombuffer(data, np.uint8)])


def serve(requests: BinaryIO, answers: BinaryIO, shared: SharedBuffer) -> None:
    """Be confined, import the task, answer until nobody asks any more."""
    first = receive(requests, shared)
    assert first is not None
    task = InstalledTask(**first.fields["task"])
    importlib.util.find_spec(task.module.partition(".")[0])  # looks into folders that may not be listed afterwards
    confine([Path(path) for path in first.fields["readable"]], Path(first.fields["scratch"]))
    server: Server | None = None
    while (asked := receive(requests, shared)) is not None:
        try:
            if server is None:
                server = Server(task.imported())
            answer = server.answer(asked)
        except AfmlError as error:
            answer = Message("refused", {"type": type(error).__name__, "problem": error.problem, "cure": error.cure})
        except Exception as error:  # noqa: BLE001 - whatever somebody's task raises
            traceback.print_exc()
            answer = Message("failed", {"what": f"{type(error).__name__} at {_place(error)}"})
        send(answers, answer, shared)
        del asked, answer  # their arrays, before the next ones come


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as incoming, os.fdopen(int(sys.argv[2]), "wb") as outgoing:
        serve(incoming, outgoing, SharedBuffer(int(sys.argv[3])))
