"""A task that does what it should not: the test says what by the run's settings. Written to a package of its own."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from afml.consortium.card import DataAgreement
from afml.consortium.run import RunConfig
from afml.data.prepared import Prepared
from afml.tasks.module import ModuleKind, ModuleSettings, ModuleTask, RowsOfPeople
from afml.training.model import ArrayModel
from afml.training.task import Rows
from crypto.public.random import RandomSource


class Wanted(ModuleSettings):
    """What to try, and on what."""

    attempt: str = ""
    path: str = ""


SEEN: list[float] = []  # what gradients saw of people, in this process


class Hostile(ModuleKind):
    """A linear model; see `attempt`."""

    settings_type = Wanted

    def module(self, settings: Wanted, data: DataAgreement) -> nn.Module:
        return nn.Linear(data.features, 1)

    def loss(self, settings: Wanted, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (predicted[:, 0] - target[:, 0]).pow(2)

    def task(self, run: RunConfig, public: Path, *, bf16: bool = False) -> ModuleTask:
        return HostileTask(self, run)

    def enrolled(self, run: RunConfig, prepared: Prepared) -> RowsOfPeople:
        if run.task.settings["attempt"] == "tell":
            raise ValueError(f"the first patient is {prepared.people.samples[0]}")
        return super().enrolled(run, prepared)


class HostileTask(ModuleTask):
    """Tries when it is asked for gradients, with people before it; or for the model, without."""

    def gradients(self, phase: int, enrolled: Any, people: Any, stream: RandomSource) -> list[Rows]:
        found = super().gradients(phase, enrolled, people, stream)
        wanted = Wanted.model_validate(self._run.task.settings)
        features, _, _ = enrolled.rows(people)
        SEEN.extend(features.flatten().tolist())
        if wanted.attempt == "huge":
            found[0].gradients[0].mul_(1e12)
        elif wanted.attempt == "nan":
            found[0].gradients[0][0] = float("nan")
        elif wanted.attempt == "die":
            os._exit(3)
        elif wanted.attempt == "strangers":
            found = [Rows(found[0].gradients, np.full(len(found[0].gradients[0]), 10**6))]
        elif wanted.attempt:
            _outcome(wanted)
        return found

    def model(self) -> ArrayModel:
        plain = super().model()
        if self._run.task.settings["attempt"] == "name":
            return ArrayModel({"file": np.zeros(1)}, plain.card)
        return ArrayModel({**plain.arrays, "seen": np.array(SEEN)}, plain.card)

    def state(self) -> bytes:
        return super().state()


def _outcome(wanted: Wanted) -> None:
    """Raise what the kernel says, as the type of the error; fail otherwise."""
    tries = {
        "socket": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "url": lambda: urllib.request.urlopen("http://127.0.0.1:9"),
        "read": lambda: Path(wanted.path).read_bytes(),
        "write": lambda: Path(wanted.path).write_bytes(b"x"),
        "remove": lambda: Path(wanted.path).unlink(),
        "signal": lambda: os.kill(os.getppid(), 0),
        "queued signal": lambda: _called("", "rt_sigqueueinfo", os.getppid(), 0, SIGNAL),
        "signal to a thread": lambda: _called("", "tkill", os.getppid(), 0),
        "shared memory": lambda: _called("shmget", "", 4711, 8, 0o1600),
        "message queue": lambda: _called("msgget", "", 4711, 0o1600),
        "named queue": lambda: _called("mq_open", "", b"/afml-test", os.O_CREAT | os.O_RDWR, 0o600, None),
        "watch": lambda: _called("inotify_init1", "", 0),
        "memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
        "environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "child": lambda: subprocess.run(["/bin/cat", wanted.path], check=True, capture_output=True),
    }
    tries[wanted.attempt]()


SIGNAL = bytes([0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]) + bytes(116)  # siginfo_t of SI_QUEUE
NUMBERS = {"x86_64": {"rt_sigqueueinfo": 129, "tkill": 200}, "aarch64": {"rt_sigqueueinfo": 138, "tkill": 130}}


def _called(function: str, number: str, *arguments: object) -> None:
    """Call the C library or, where it has no function for it, the kernel; raise as Python would."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc[function] if function else libc.syscall
    numbers = () if function else (NUMBERS[platform.machine()][number],)
    if call(*numbers, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


KIND = Hostile()
