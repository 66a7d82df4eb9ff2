"""Several processes or GPUs inside one institution, started by `torchrun`: each takes a part of the batch.

The first process is the node: it draws the batch and the noise, and it alone holds keys, the ledger, the wire and the
log. The others are workers (afml.training.worker): they load the same prepared folder, and for every private round
are told the parameters and who was drawn. Each person of the batch is handled by exactly one process, which clips
that person's gradient; the first process adds the clipped sums in float64, in the order of the processes. So a
node still sends one sum with one noise, with the sensitivity of a single process. A sum is complete or there is
none: a process that ends, hangs or handled other people stops the node before anything is spent.

What passes between the processes is neither noised nor encrypted, so they must be on one machine: they find each
other through a file in the work folder and talk over its loopback interface, which no other machine reaches.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, IntegrityError, TransportError
from crypto.public.random import RandomSource, source

#: How long the first process waits for a worker that has not answered; its own part took as long as theirs.
_PATIENCE = timedelta(minutes=10)
#: Workers wait for the node between rounds, however long other institutions take. They end when it does.
_FOREVER = timedelta(days=365)


class ProcessLost(TransportError):
    """A process of this node is gone, or torchrun is stopping them all."""


@dataclass(frozen=True)
class Share:
    """What the first process tells the others about a clipped sum.

    Attributes:
        held: Digest of run, panel and people; a process that holds others refuses.
        phase: Index into `config.phases`.
        batch: Rows of the cohort that were drawn, [people].
        stream: Seed and labels of the people's streams; None where they are the operating system's.
        state: Master parameters, as `Program.state`.
    """

    held: str
    phase: int
    batch: NDArray[np.int64] = field(repr=False)
    stream: tuple[Any, ...] | None = field(repr=False)
    state: bytes = field(repr=False)

    def people(self) -> RandomSource:
        """Source of each person's own stream: in a seeded run the one that the first process has."""
        return source(None) if self.stream is None else source(*self.stream)

    def encode(self) -> bytes:
        """As bytes: the length of a JSON header, the header, the state."""
        header = canonical_json(
            {"held": self.held, "phase": self.phase, "batch": self.batch.tolist(), "stream": self.stream}
        )
        return len(header).to_bytes(8, "little") + header + self.state

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """Inverse of `encode`."""
        end = 8 + int.from_bytes(message[:8], "little")
        header = json.loads(message[8:end])
        stream = None if header["stream"] is None else tuple(header["stream"])
        return cls(header["held"], header["phase"], np.array(header["batch"], np.int64), stream, message[end:])


class Group:
    """The processes of one node; make it with `joined`."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this process is the node."""
        return self.rank == 0

    def part(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """The people of the batch that this process handles; the parts of all processes are disjoint."""
        return batch[self.rank :: self.size]

    @contextlib.contextmanager
    def sharing(self) -> Iterator[None]:
        """Around a shared sum: torchrun stops the first process when another one dies, which ends the sum."""
        try:
            yield
        except KeyboardInterrupt:  # what its SIGTERM becomes, see afml.cli.main
            raise self._lost() from None

    # -- at the first process ---------------------------------------------------------------------------

    def announce(self, share: Share) -> None:
        """Start a clipped sum at all processes.

        Raises:
            ProcessLost: One of them is gone.
        """
        self._tell(share.encode())

    def collect(self, values: NDArray[np.float64], people: int, *, of: int) -> NDArray[np.float64]:
        """The sum of all processes' parts, float64, in the order of the processes.

        Args:
            values: This process's part of the clipped sum.
            people: How many people are in it.
            of: People in the whole batch.

        Raises:
            ProcessLost: A process is gone or did not answer in time.
            IntegrityError: The parts do not hold as many people as the batch.
        """
        parts = [torch.empty(len(values) + 1, dtype=torch.float64) for _ in range(self.size)]
        with self._collective():
            dist.gather(_counted(values, people), parts, dst=0)
        total = np.zeros(len(values) + 1)
        for part in parts:
            total += part.numpy()
        if total[-1] != of:
            raise IntegrityError(
                f"the processes of this node handled {total[-1]:.0f} people of a batch of {of}",
                where=f"{self.size} processes",
                cure="start the node again",
            )
        return np.asarray(total[:-1])

    def end(self) -> None:
        """Let the workers go; those that are gone already do not matter any more."""
        with contextlib.suppress(ProcessLost):
            self._tell(b"")

    # -- at the workers ---------------------------------------------------------------------------------

    def heard(self) -> Share | None:
        """Wait for the next clipped sum; None when the node needs no more.

        Raises:
            ProcessLost: The first process is gone.
        """
        length = torch.zeros(1, dtype=torch.int64)
        with self._collective():
            dist.broadcast(length, 0)
            message = torch.empty(int(length), dtype=torch.uint8)
            if not len(message):
                return None
            dist.broadcast(message, 0)
        return Share.decode(message.numpy().tobytes())

    def give(self, values: NDArray[np.float64], people: int) -> None:
        """Hand this worker's part of the sum to the first process.

        Raises:
            ProcessLost: The first process is gone.
        """
        with self._collective():
            dist.gather(_counted(values, people), dst=0)

    def _tell(self, message: bytes) -> None:
        with self._collective():
            dist.broadcast(torch.tensor([len(message)]), 0)
            if message:
                dist.broadcast(torch.frombuffer(bytearray(message), dtype=torch.uint8), 0)

    @contextlib.contextmanager
    def _collective(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError:  # gloo: a connection was closed, or the time is over
            raise self._lost() from None

    def _lost(self) -> ProcessLost:
        return ProcessLost(
            "another of them ended or hung, or torchrun was stopped",
            where=f"process {self.rank} of this node's {self.size}",
            cure="look for its message; then start the node again, it picks up where it stood",
        )


def rank() -> int:
    """This process's number under torchrun, from 0; 0 without."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


@contextlib.contextmanager
def joined(folder: Path) -> Iterator[Group | None]:
    """Meet the other processes that torchrun started; let them go at the end.

    Args:
        folder: The processes meet through a file in it.

    Returns:
        None where there are no other processes, or no such folder.

    Raises:
        ConfigError: They are on several machines.
        ProcessLost: One did not come.
    """
    size = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if size == 1 or not folder.is_dir():
        yield None
        return
    if int(os.environ["LOCAL_WORLD_SIZE"]) != size:
        raise ConfigError(
            "the processes of a node must be on one machine, their sums are neither noised nor encrypted",
            where=f"torchrun with {size} processes",
            cure="use --nnodes 1",
        )
    group, meeting = Group(rank(), size), folder / _meeting()
    if group.first:
        for earlier in set(folder.glob(".processes-*")) - {meeting}:  # of a node that was killed
            earlier.unlink(missing_ok=True)
    os.environ["GLOO_SOCKET_IFNAME"] = _loopback()
    patience = _PATIENCE if group.first else _FOREVER
    try:
        with group._collective():
            store = dist.FileStore(str(meeting), size)  # type: ignore[attr-defined]
            dist.init_process_group("gloo", store=store, rank=group.rank, world_size=size, timeout=patience)
        with group.sharing():
            yield group
    finally:
        if group.first:
            if dist.is_initialized():
                group.end()
            meeting.unlink(missing_ok=True)
        if dist.is_initialized():
            dist.destroy_process_group()


def _counted(values: NDArray[np.float64], people: int) -> torch.Tensor:
    return torch.from_numpy(np.append(values, float(people)))


def _meeting() -> str:
    """A name that the processes of one start of torchrun share with no other start."""
    agent = psutil.Process(os.getppid())
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return f".processes-{agent.pid}-{agent.create_time():.2f}-{restarts}"


def _loopback() -> str:
    """The network interface that only this machine reaches."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == "127.0.0.1" for one in addresses):
            return name
    raise ConfigError("this machine has no loopback interface", cure="run the node without torchrun")
