"""A module as a check sees it: given the same few made-up rows again and again, with the same random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from afml.consortium.card import DataAgreement
from afml.tasks import parts
from afml.training.clipping import RowGradients
from afml.training.ghost import GhostSum

if TYPE_CHECKING:
    from afml.tasks.module import ModuleKind

ROWS = 3
_SEEDS = (0, 1, 2, 3, 4)  # masks of a small layer may be the same by chance


class Specimen:
    """A module that is given the same few rows again and again.

    Args:
        kind: Makes module and loss.
        settings: Of the task.
        data: What a row is.
    """

    def __init__(self, kind: ModuleKind, settings: Any, data: DataAgreement) -> None:
        self._kind, self._settings, self._data = kind, settings, data
        self._module = kind.made(settings, data)
        parts.rest(self._module)
        self.features, self.targets = kind.made_up(settings, data, ROWS)

    def doubled(self) -> Specimen:
        """The same in float64: afresh, without hooks."""
        other = Specimen(self._kind, self._settings, self._data)
        other._module.double()
        other.features, other.targets = other.features.double(), other.targets.double()
        return other

    def forward(self, features: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """Predictions, with the same random numbers for the same seed."""
        with seeded(seed):
            return self._module(features)

    def losses(self, predicted: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each row; the targets are a copy, in case it writes into them."""
        return self._kind.loss(self._settings, predicted, targets.clone())

    def buffers(self) -> dict[str, torch.Tensor]:
        """As they are now."""
        return {name: value.clone() for name, value in self._module.named_buffers()}

    def draws(self) -> bool:
        """Whether the module draws random numbers while it is trained."""
        return draws(self._module, self.features)

    def rows_by_opacus(self, features: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
        """Gradients as training takes them; hooks the module, so this comes last."""
        hooked = RowGradients(self._module)
        parts.rest(self._module)
        with seeded(0):
            loss = self.losses(hooked.hooked(features), targets)
            hooked.backward(loss.sum())
        return hooked.rows().dense()

    def row_by_autograd(self, features: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor | None]:
        """Gradients of one row alone; None for a parameter that it does not depend on."""
        loss = self.losses(self.forward(features), targets).sum()
        return list(torch.autograd.grad(loss, list(parts.trained(self._module).values()), allow_unused=True))

    def clipped_sums(self) -> tuple[torch.Tensor, torch.Tensor]:
        """One row's gradient clipped to a thousandth of its norm: by ghost clipping, and by autograd; flat."""
        features, targets = self.features[:1], self.targets[:1]
        module = self._kind.made(self._settings, self._data)
        parts.rest(module)
        with seeded(0):
            losses = self.losses(module(features), targets)
        row = torch.autograd.grad(losses.sum(), list(parts.trained(module).values()))
        gradient = torch.cat([part.reshape(-1) for part in row]).double()
        bound = max(1e-12, float(gradient.norm()) / 1000)
        ghosts = GhostSum(module.double(), bound)

        def once_more(hooked: nn.Module, _: Any) -> torch.Tensor:
            with seeded(0):
                return self.losses(hooked(features.double()), targets.double())

        ghosts.add(once_more, np.arange(1))
        return torch.from_numpy(ghosts.total()), gradient * min(1.0, bound / float(gradient.norm()))

    @property
    def names(self) -> list[str]:
        """Of the trained parameters."""
        return list(parts.trained(self._module))


class seeded:
    """Random numbers of torch follow from a seed within, and go on as before afterwards."""

    def __init__(self, seed: int) -> None:
        self._seed, self._fork = seed, torch.random.fork_rng(devices=[])

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *error: object) -> None:
        self._fork.__exit__(None, None, None)


def draws(module: nn.Module, features: torch.Tensor) -> bool:
    """Whether a module, in its present mode, draws random numbers: by a layer that does, or by what it gives."""
    dropout = (nn.modules.dropout._DropoutNd, nn.RReLU)
    layers = [layer for layer in module.modules() if layer.training and isinstance(layer, dropout)]
    if any(getattr(layer, "p", 1.0) > 0 for layer in layers):
        return True
    given = []
    with torch.no_grad():
        for seed in _SEEDS:
            with seeded(seed):
                given.append(module(features))
    return not all(torch.equal(given[0], other) for other in given[1:])
