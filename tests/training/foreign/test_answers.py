"""Whatever a task's process answers, the node ends in one line: no answer is believed before it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.core.errors import ProtocolError
from afml.data.prepared import Prepared
from afml.training.foreign import proxy
from afml.training.foreign.messages import Message
from afml.training.foreign.proxy import ForeignEnrolled, ForeignKind, ForeignTask
from afml.training.planning import Rounds, Terms
from afml.training.registry import InstalledTask

DATA = DataAgreement(kind="table", fingerprint="00", features=2)
RUN = RunConfig.model_validate({
    "run": "r", "consortium": "c", "task": {"kind": "liar", "version": "1", "code": "0" * 64, "settings": {}},
    "data": DATA, "enrolled": {1: 5}, "quorum": 1, "noise": "local", "budget": {"delta": 1e-5, "ple_sigma": 9.0},
    "phases": [{"name": "train", "rounds": 1, "sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 3.0,
                "learning_rate": 0.1}], "seed": 3,
})  # fmt: skip
OPENED = {"lengths": [3], "blocks": [[1.0]], "people_at_once": [4], "has_public_part": True}
WHOLE: dict[str, Message] = {
    "open_task": Message("ok", OPENED), "model": Message("ok", {"names": ["a"], "card": {}}, [np.zeros(3)]),
    "open_enrolled": Message("ok", {"people": 5, "digest": "d"}),
    "load_model": Message("ok", {"has_public_part": True}),
    "load_state": Message("ok", {"has_public_part": True}), "state": Message("ok", {}, [np.zeros(2, np.uint8)]),
    "describe": Message("ok", {"data": ["table"]}), "settings": Message("ok", {"settings": {}}),
    "lengths": Message("ok", {"lengths": [3]}), "plan": Message("ok", {"plan": {}}),
}  # fmt: skip


class Liar:
    """A task's process that answers as it is told."""

    def __init__(self, *_: object, **answers: Message) -> None:
        self._answers = WHOLE | answers

    def ask(self, name: str, fields: object = None, arrays: Sequence[Any] = ()) -> Message:
        return self._answers[name]


def task(**answers: Message) -> ForeignTask:
    process: Any = Liar(**answers)
    return ForeignTask(process, RUN, Path("public"), bf16=False)


def named(*names: object, arrays: int, **fields: Any) -> Message:
    return Message("ok", {"names": list(names), "card": {}} | fields, [np.zeros(2) for _ in range(arrays)])


def test_what_is_in_order_passes() -> None:
    made = task()
    assert (made.length(0), made.blocks(0), made.people_at_once(0), made.has_public_part) == (3, (1.0,), 4, True)
    assert set(made.model().arrays) == {"a"}


@pytest.mark.parametrize(
    "model",
    [
        named("a", "b", arrays=1), named("a", arrays=2), named("a", "a", arrays=2), named("a/b", arrays=1),
        named(arrays=1), named("file", arrays=1), named("a", arrays=1, card=[1, 2]), named("a", arrays=1, card=None),
        named("a", arrays=1, names=None), Message("ok", {}, [np.zeros(1)]),
    ],
)  # fmt: skip
def test_a_model_that_is_none(model: Message) -> None:
    with pytest.raises(ProtocolError) as refused:
        task(model=model)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "told",
    [
        {}, {"lengths": []}, {"lengths": ["x"]}, {"lengths": 3}, {"blocks": [None]}, {"blocks": []},
        {"people_at_once": [[]]}, {"lengths": [float("inf")]}, {"people_at_once": None},
        {"has_public_part": None, "blocks": 1},
    ],
)  # fmt: skip
def test_a_description_that_is_none(told: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="gave a description of its phases that cannot be read"):
        task(open_task=Message("ok", OPENED | told if told else {}))


def test_people_that_are_none() -> None:
    prepared = Prepared(Path("data"), Path("people.tsv"), DATA)
    for told in ({}, {"people": None, "digest": ""}, {"people": "many", "digest": ""}, {"people": 1}):
        process: Any = Liar(open_enrolled=Message("ok", told))
        with pytest.raises(ProtocolError, match="gave a number of people that cannot be read"):
            ForeignEnrolled(process, RUN, prepared)


def test_answers_for_the_kind_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Callable[[ForeignKind], object]] = {
        "describe": lambda kind: kind.data, "settings": lambda kind: kind.settings({}),
        "lengths": lambda kind: kind.lengths(RUN), "plan": lambda kind: kind.plan({}, DATA, Rounds(), Terms()),
    }  # fmt: skip
    for name, ask in asked.items():
        for fields in ({}, {"data": 3, "settings": 3, "lengths": 3, "plan": 3}, {"lengths": [None], "plan": {"x": 1}}):
            monkeypatch.setattr(
                proxy, "TaskProcess", lambda *_, name=name, told=fields: Liar(**{name: Message("ok", told)})
            )
            kind = ForeignKind(InstalledTask("liar", "1", "0" * 64, own=False, target="nowhere:KIND"))
            with pytest.raises(ProtocolError, match=r"gave .* that cannot be read"):
                ask(kind)


def test_a_state_that_does_not_say_what_it_holds() -> None:
    made = task(load_state=Message("ok", {}), load_model=Message("ok", {}))
    with pytest.raises(ProtocolError, match="gave a state that cannot be read"):
        made.load_state(b"x")
    with pytest.raises(ProtocolError, match="gave a state that cannot be read"):
        made.load_model({"a": np.zeros(3)})
