"""What the blind and the seeing process of a task are asked alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afml.consortium.run import RunConfig
from afml.training.foreign.process import TaskProcess
from afml.training.foreign.reading import understood
from afml.training.model import Arrays
from crypto.public.random import RandomSource


def send_model(process: TaskProcess, arrays: Arrays) -> dict[str, Any]:
    """Hand over a saved model; the answer's fields."""
    return process.ask("load_model", {"names": list(arrays)}, list(arrays.values())).fields


def has_public_part(told: Mapping[str, Any]) -> bool:
    """What an answer says of the public part of a task.

    Raises:
        ProtocolError: It says nothing of it.
    """
    with understood("a state"):
        return bool(told["has_public_part"])


def open_task(process: TaskProcess, run: RunConfig, public: Path, *, bf16: bool) -> dict[str, Any]:
    """Open the task of a run; what it says of its phases."""
    fields = {"run": run.model_dump(mode="json"), "public": str(public.resolve()), "bf16": bf16}
    return process.ask("open_task", fields).fields


def replayed(stream: RandomSource) -> list[object] | None:
    """What makes the same stream elsewhere; None where nobody can, and the process draws from the system."""
    return None if stream.path is None else list(stream.path)
