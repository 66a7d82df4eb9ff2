"""Several processes or GPUs inside one institution, started by `torchrun`: each takes a part of the batch.

The first process is the node: it draws the batch and the noise, and it alone holds keys, the ledger, the wire and the
log. The others are workers: they load the same prepared folder before the node enrols, and for
every private round are told the parameters and who was drawn. Each person of the batch is handled by exactly one
process, which clips that person's gradient; the first process adds the clipped sums in float64, in the order of the
processes. So a node still sends one sum with one noise, with the sensitivity of a single process. A sum is complete or
there is none: a process that ends, hangs or handled other people stops the node before anything is spent.

What passes between the processes is neither noised nor encrypted, so they must be on one machine, where they talk over
the loopback interface and authenticate every message. Who cannot read this account's files can
neither give a part nor start a sum, nor is told who was drawn: workers show that they are ours before the first sum.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, IntegrityError
from afml.training.processes.meeting import ProcessLost, Talk, lost, meet
from crypto.public.random import RandomSource, source

__all__ = ["Group", "ProcessLost", "SumRequest", "joined", "rank"]

#: How long a process waits for the others to come, and the first one for a part: its own took as long as theirs.
_PATIENCE = timedelta(minutes=10)
#: How long the first process waits for the others to load what it has loaded.
_LOADING = timedelta(hours=2)
#: Workers wait for the node between rounds, however long other institutions take. They end when it does.
_FOREVER = timedelta(days=365)


@dataclass(frozen=True)
class SumRequest:
    """What the first process tells the others about a clipped sum.

    Attributes:
        held: Digest of run and people (`Trainer.held`); a process that holds others refuses.
        phase: Index into `config.phases`.
        batch: Rows of the cohort that were drawn, [people].
        stream: Seed and labels of the people's streams; None where they are the operating system's.
        state: Parameters, as `Task.state`.
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

    def __init__(self, talk: Talk) -> None:
        self.rank, self.size = talk.rank, talk.size
        self._talk, self._broken = talk, False

    @property
    def first(self) -> bool:
        """Whether this process is the node."""
        return self.rank == 0

    def part(self, batch: NDArray[np.int64], rank: int | None = None) -> NDArray[np.int64]:
        """The people of the batch that a process handles, by default this one; all parts are disjoint."""
        return batch[self.rank if rank is None else rank :: self.size]

    @contextlib.contextmanager
    def sharing(self) -> Iterator[None]:
        """Around an exchange. Where it fails, the others wait for its second half: no other can follow.

        torchrun stops the first process when another one dies, which ends the exchange too.
        """
        try:
            yield
        except BaseException as error:
            self._broken = True
            if isinstance(error, KeyboardInterrupt):  # what its SIGTERM becomes, see afml.cli.main
                raise lost(self.rank, self.size) from None
            raise

    # -- at the first process ---------------------------------------------------------------------------

    def load(self, held: str) -> None:
        """Have the others load, and wait until they have: nobody else waits for this node yet.

        Args:
            held: Digest of run and people (`Trainer.held`); a process that loads others refuses.

        Raises:
            ProcessLost: One of them is gone or refused.
            IntegrityError: One does not know the key.
        """
        with self.sharing():
            self._talk.tell(held.encode())
            self._talk.wait_for(_LOADING)
            self._talk.answers(b"")
            self._talk.wait_for(_PATIENCE)

    def announce(self, request: SumRequest) -> None:
        """Start a clipped sum at all processes.

        Raises:
            ProcessLost: One of them is gone.
        """
        self._talk.tell(request.encode())

    def collect(self, values: NDArray[np.float64], batch: NDArray[np.int64], clip_norm: float) -> NDArray[np.float64]:
        """The sum of all processes' parts, float64, in the order of the processes.

        Args:
            values: This process's part of the clipped sum.
            batch: The whole batch.
            clip_norm: L2 bound of one person's contribution.

        Raises:
            ProcessLost: A process is gone or did not answer in time.
            IntegrityError: A part does not hold the people it should, is larger than so many clipped people can be, or
                comes from somebody who does not know the key.
        """
        total = np.zeros(len(values))
        for rank, message in enumerate(self._talk.answers(_counted(values, len(self.part(batch))))):
            part, people = np.frombuffer(message[8:]), int.from_bytes(message[:8], "little")
            wanted = len(self.part(batch, rank))
            if people != wanted:
                raise self._refused(rank, f"handled {people} people and was given {wanted} of a batch of {len(batch)}")
            if not np.linalg.norm(part) <= people * clip_norm:  # so that NaN is refused
                raise self._refused(rank, f"gave a sum larger than {people} clipped people can add up to")
            total += part
        return total

    def end(self) -> None:
        """Let the workers go; those that are gone already do not matter any more."""
        if not self._broken:  # else they wait in another collective, and go when this process has gone
            with contextlib.suppress(ProcessLost):
                self._talk.tell(b"")

    # -- at the workers ---------------------------------------------------------------------------------

    def asked(self) -> str | None:
        """Wait for `load`; what the first process holds, None when the node needs no others.

        Raises:
            ProcessLost: The first process is gone.
            IntegrityError: It does not know the key.
        """
        self._talk.wait_for(_FOREVER)
        return self._talk.told().decode() or None

    def ready(self) -> None:
        """Answer `load`.

        Raises:
            ProcessLost: The first process is gone.
        """
        self._talk.answer(b"")

    def heard(self) -> SumRequest | None:
        """Wait for the next clipped sum; None when the node needs no more.

        Raises:
            ProcessLost: The first process is gone.
            IntegrityError: It does not know the key.
        """
        message = self._talk.told()
        return SumRequest.decode(message) if message else None

    def give(self, values: NDArray[np.float64], people: int) -> None:
        """Hand this worker's part of the sum to the first process.

        Raises:
            ProcessLost: The first process is gone.
        """
        self._talk.answer(_counted(values, people))

    def _refused(self, rank: int, problem: str) -> IntegrityError:
        return IntegrityError(problem, where=f"process {rank} of this node's {self.size}", cure="start the node again")


def rank() -> int:
    """This process's number under torchrun, from 0; 0 without."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


@contextlib.contextmanager
def joined(folder: Path) -> Iterator[Group | None]:
    """Meet the other processes that torchrun started; let them go at the end.

    Args:
        folder: The work folder, in which they meet.

    Returns:
        None where there are no other processes, or no such folder.

    Raises:
        ConfigError: They are on several machines, or others of the same start are there already.
        InputError: Other accounts can read where they meet.
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
    with meet(folder, rank(), size, _PATIENCE) as talk:
        group = Group(talk)
        try:
            yield group
        except KeyboardInterrupt:  # torchrun stops them all when one has died
            raise lost(group.rank, size) from None
        finally:
            if group.first:
                group.end()


def _counted(values: NDArray[np.float64], people: int) -> bytes:
    return people.to_bytes(8, "little") + np.ascontiguousarray(values, dtype=np.float64).tobytes()
