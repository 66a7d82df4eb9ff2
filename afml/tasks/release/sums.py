"""The noised sums of a run's releases, as they arrive: all the state that a release has."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import IntegrityError
from afml.training.blob import dump, load

_PEOPLE = "people"


class Sums:
    """A sum for each phase whose round is over; see `afml.training.task.Task` for the methods that are its.

    Args:
        run: The run configuration.
    """

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self._sums: dict[int, NDArray[np.float64]] = {}
        self._people: dict[int, int] = {}

    @property
    def complete(self) -> bool:
        """Whether the sums of all phases are there."""
        return len(self._sums) == len(self.run.phases)

    def sum(self, phase: int) -> NDArray[np.float64]:
        """The noised sum of a phase, [length(phase)]; zeros before it is there."""
        return self._sums.get(phase, np.zeros(self.length(phase)))

    def people(self, phase: int) -> int:
        """Whose vectors the sum of a phase holds: the declared enrolment of the nodes in it; of all nodes before."""
        return self._people.get(phase, sum(self.run.enrolled.values()))

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        return self.run.phases[phase].parameters

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """Keep the sum; see `Task.apply`."""
        if total.shape != (self.length(phase),):
            raise IntegrityError(f"the sum has {len(total)} coordinates, phase {phase} has {self.length(phase)}")
        self._sums[phase], self._people[phase] = np.array(total, np.float64), people

    def state(self) -> bytes:
        """The sums that are there."""
        arrays = {f"sum{phase}": total for phase, total in sorted(self._sums.items())}
        return dump({_PEOPLE: np.array([self._people.get(p, 0) for p in range(len(self.run.phases))], float)} | arrays)

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        phases = range(len(self.run.phases))
        known = {_PEOPLE: len(phases)} | {f"sum{phase}": self.length(phase) for phase in phases}
        found = load(blob, "saved state of the release", known)
        people = found.get(_PEOPLE, np.zeros(0))
        sums = {phase: found[f"sum{phase}"] for phase in phases if f"sum{phase}" in found}
        whole = (
            people.shape == (len(phases),)
            and all(total.shape == (self.length(phase),) for phase, total in sums.items())
            and all((phase in sums) == (people[phase] > 0) for phase in phases)
        )
        if not whole:
            raise IntegrityError("the saved state belongs to another run", cure="remove it and catch up")
        self._sums, self._people = sums, {phase: int(people[phase]) for phase in sums}

    def digest(self) -> bytes:
        """See `Task.digest`."""
        digest = hashlib.sha256()
        for phase, total in sorted(self._sums.items()):
            digest.update(f"{phase} {self._people[phase]}\0".encode() + total.astype("<f8").tobytes())
        return digest.digest()
