"""A torch module while it is trained; see `afml.training.task.Task`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError
from afml.core.threads import one_thread
from afml.tasks import parts
from afml.tasks.optimisers import Optimiser
from afml.tasks.rows import RowsOfPeople
from afml.tasks.specimen import draws, seeded
from afml.training.blob import dump, load
from afml.training.clipping import RowGradients
from afml.training.device import device
from afml.training.foreign.sandbox import confined
from afml.training.model import ArrayModel, load_arrays, run_card
from afml.training.task import NoPublicPart, Rows
from crypto.public.random import RandomSource

if TYPE_CHECKING:
    from afml.tasks.module import ModuleKind

#: Values of one micro-batch, float32: 16 MiB of gradients, which pass between two processes and are read twice where
#: they are clipped, so that more of them cost time as well as memory; or 64 MiB of what the layers give.
_GRADIENT_VALUES, _OUTPUT_VALUES = 1 << 22, 1 << 24
_PARAMETERS = "parameters"


class ModuleTask(NoPublicPart):
    """A module that is trained; see `afml.training.task.Task`.

    Args:
        kind: Makes module and loss.
        run: Says its settings and data.
    """

    def __init__(self, kind: ModuleKind, run: RunConfig) -> None:
        self._kind, self._run = kind, run
        self._settings = kind.settings(run.task.settings)
        self._module = kind.fresh(run)
        parts.rest(self._module)
        features, _ = kind.made_up(self._settings, run.data, 1)
        self._draws = draws(self._module, features)
        self._rows_at_once = max(1, _OUTPUT_VALUES // max(1, parts.outputs(self._module, features)))
        self._hooked: RowGradients | None = None
        if self.ghost and confined():
            raise ConfigError(
                "clips its people by itself (ghost), which is not believed of a task in a process of its own",
                where=f"run {run.run}",
                cure="list its code under run.trusted_code of policy.toml, or have ghost = false configured",
            )
        self._begin()

    def _begin(self) -> None:
        """At the module's present parameters, before the first round."""
        self._parameters = parts.read(self._module)
        self._frozen = parts.frozen_digest(self._module)
        self._optimiser = Optimiser(self._settings, len(self._parameters), self._run.rounds)
        self._fresh = True  # the module holds the present parameters

    @property
    def ghost(self) -> bool:
        """See `GhostTask.ghost`."""
        return self._settings.ghost

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        return len(self._parameters)

    def blocks(self, phase: int) -> tuple[float, ...]:
        """All parameters are clipped as one."""
        return (1.0,)

    def people_at_once(self, phase: int) -> int:
        """As many as fit memory; one where the module draws random numbers, which are then that person's own."""
        if self._draws:
            return 1
        largest = parts.largest_layer(self._module) if self.ghost else len(self._parameters)
        return max(1, min(self._rows_at_once, _GRADIENT_VALUES // max(1, largest)))

    def gradients(
        self, phase: int, enrolled: RowsOfPeople, people: NDArray[np.int64], stream: RandomSource
    ) -> list[Rows]:
        """See `Task.gradients`."""
        if self._hooked is None:
            self._hooked = RowGradients(self._module.to(device()))
            parts.rest(self._module)
        features, targets, owner = enrolled.rows(people)
        present = self._present()
        assert present is self._hooked.module
        with seeded(_seed(stream, people)):
            predicted = self._hooked.hooked(features.to(device()))
            self._hooked.backward(self._kind.loss(self._settings, predicted, targets.to(device())).sum())
        return [Rows(self._hooked.rows().gradients, owner)]

    def ghost_module(self) -> nn.Module:
        """See `GhostTask.ghost_module`."""
        module = self._kind.fresh(self._run)
        module.load_state_dict(self._present().state_dict())
        parts.rest(module)
        return module.double().to(device())

    def losses(
        self, module: nn.Module, enrolled: RowsOfPeople, people: NDArray[np.int64], stream: RandomSource
    ) -> torch.Tensor:
        """See `GhostTask.losses`."""
        features, targets, _ = enrolled.rows(people)
        with seeded(_seed(stream, people)):
            predicted = module(features.double().to(device()))
            return self._kind.loss(self._settings, predicted, targets.double().to(device()))

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """See `Task.apply`."""
        settings = self._run.phases[phase]
        if total.shape != self._parameters.shape:
            raise IntegrityError(f"the sum has {len(total)} parameters, the module {len(self._parameters)}")
        mean = total / (settings.sample_rate * people)
        self._parameters = self._optimiser.step(self._parameters, mean, settings.learning_rate)
        self._fresh = False

    def load_model(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Task.load_model`; the frozen part becomes the model's, too.

        Raises:
            ConfigError: Not a model of this module; says what differs.
        """
        load_arrays(self._module, arrays)
        self._begin()

    def state(self) -> bytes:
        """See `Task.state`."""
        return dump({_PARAMETERS: self._parameters} | self._optimiser.arrays())

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        known = {_PARAMETERS: len(self._parameters)}
        known |= {name: len(array) for name, array in self._optimiser.arrays().items()}
        found = load(blob, "saved training state", known)
        parameters = found.get(_PARAMETERS, np.zeros(0))
        if parameters.shape != self._parameters.shape:
            raise IntegrityError("the saved training state belongs to another run", cure="remove it and catch up")
        self._optimiser.load(found)
        self._parameters, self._fresh = parameters, False

    def digest(self) -> bytes:
        """See `Task.digest`: of the parameters, what the optimiser remembers of them, and the frozen part."""
        digest = hashlib.sha256()
        for array in (self._parameters, *self._optimiser.arrays().values()):
            digest.update(np.ascontiguousarray(array, "<f8").data)
        digest.update(self._frozen)
        return digest.digest()

    def model(self) -> ArrayModel:
        """The module's parameters by their names, float32, and what they are of."""
        state = self._present().state_dict()
        arrays = {name: _array(value) for name, value in state.items()}
        return ArrayModel(arrays, run_card(self._run) | {"parameters": sum(array.size for array in arrays.values())})

    def predict(self, enrolled: RowsOfPeople, people: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Task.predict`: what the module gives in evaluation mode, each row's numbers in one line."""
        features, _, _ = enrolled.rows(people)
        module = self._present().to(device()).eval()
        try:
            with torch.no_grad(), one_thread():
                given = [module(some.to(device())) for some in features.split(self._rows_at_once)]
        finally:
            parts.rest(module)
        predicted = torch.cat(given).to("cpu", torch.float64)
        return predicted.reshape(len(features), -1).numpy()

    def _present(self) -> nn.Module:
        """The module at the present parameters."""
        if not self._fresh:
            parts.write(self._module, self._parameters)
            self._fresh = True
        return self._module


def _seed(stream: RandomSource, people: NDArray[np.int64]) -> int:
    """Of torch's random numbers, for a micro-batch: where they matter, it holds one person."""
    return int(stream.child(int(people[0])).uint64(1)[0])


def _array(value: torch.Tensor) -> NDArray[Any]:
    """A tensor as numpy keeps it; bfloat16, say of a frozen part, in float32, where it is exact."""
    known = not value.is_floating_point() or value.dtype in (torch.float16, torch.float32, torch.float64)
    return (value if known else value.float()).detach().cpu().numpy().copy()
