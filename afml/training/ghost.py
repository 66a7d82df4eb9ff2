"""Clipped sums without a gradient per person: norms first, then one weighted gradient (ghost clipping; Li et al. 2022).

For modules whose gradients per person do not fit memory, where every person has one row. Opacus computes norms of
whole rows; everything is float64, norms and gradients alike, so that a person's part stays below the bound as closely
as where gradients are clipped one by one (`afml.training.clipping`). Opacus's shortcut for linear layers is exact to
rounding for one vector a row; for sequences it subtracts large numbers from each other, so there, as in every other
layer but embeddings, the gradients of one layer at a time are made and forgotten.

The node computes the sum through the task's module: this is for tasks whose code runs within the node, never for one in
a process of its own, which could not be believed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from torch import nn

from afml.core.errors import IntegrityError
from afml.core.threads import one_thread
from afml.training.clipping import BELOW
from crypto.public.random import RandomSource


@runtime_checkable
class GhostTask(Protocol):
    """What a `Task` further has whose sums can be clipped so."""

    @property
    def ghost(self) -> bool:
        """Whether they are."""
        ...

    def people_at_once(self, phase: int) -> int:
        """See `Task.people_at_once`."""
        ...

    def length(self, phase: int) -> int:
        """See `Task.length`."""
        ...

    def ghost_module(self) -> nn.Module:
        """A module of its own at the present parameters, float64, nobody's hooks in it."""
        ...

    def losses(self, module: nn.Module, enrolled: Any, people: NDArray[np.int64], stream: RandomSource) -> torch.Tensor:
        """Loss of each of these people, who have one row each, through such a module, [people]."""
        ...


Losses = Callable[[nn.Module, NDArray[np.int64]], torch.Tensor]
"""(module, people) -> loss of each of them, [people]."""


class _Norms(GradSampleModuleFastGradientClipping):
    """Opacus's hooks, its shortcut taken only where it is exact to rounding."""

    def capture_activations_hook(self, module: nn.Module, given: Any, result: torch.Tensor) -> None:
        self.use_ghost_clipping = True  # so that Opacus refuses a layer that is used twice
        super().capture_activations_hook(module, given, result)

    def capture_backprops_hook(
        self, module: nn.Module, given: Any, result: Any, loss_reduction: str, batch_first: bool
    ) -> None:
        self.use_ghost_clipping = type(module) is nn.Embedding or result[0].dim() == 2
        super().capture_backprops_hook(module, given, result, loss_reduction, batch_first)


class GhostSum:
    """The running sum of people's clipped gradients, flat, in the order of the module's trained parameters.

    Args:
        module: float64, at the parameters of the round; its hooks stay in it.
        clip_norm: L2 bound of a person's contribution.
    """

    def __init__(self, module: nn.Module, clip_norm: float) -> None:
        self._bound = clip_norm * BELOW
        self._hooked = _Norms(module, loss_reduction="sum", max_grad_norm=self._bound, use_ghost_clipping=True)
        self._parameters: list[Any] = [p for p in module.parameters() if p.requires_grad]

    def add(self, losses_of: Losses, people: NDArray[np.int64]) -> None:
        """Add the clipped gradients of some people; one whose gradient is not finite contributes nothing.

        Args:
            losses_of: Losses of some of them, whom it is told, through a module.
            people: All of them.

        Raises:
            IntegrityError: There is another number of losses.
        """
        self._hooked.enable_hooks()
        losses = losses_of(self._hooked, people)
        if tuple(losses.shape) != (len(people),):
            raise IntegrityError(f"a task gave losses of shape {tuple(losses.shape)} of {len(people)} people")
        before = [None if p.grad is None else p.grad.clone() for p in self._parameters]
        norms = self._norms(losses)
        for parameter, gradient in zip(self._parameters, before, strict=True):
            parameter.grad, parameter.grad_sample = gradient, None
        finite = (torch.isfinite(norms) & torch.isfinite(losses.detach())).cpu().numpy()
        if finite.all():
            shares = (self._bound / norms).clamp(max=1.0)  # of a norm of 0, infinity is clamped to 1
            self._backward((shares * losses).sum())
        elif finite.any():
            self.add(losses_of, people[finite])  # anew: nothing times infinity is not nothing

    def _norms(self, losses: torch.Tensor) -> torch.Tensor:
        """Norm of each person's gradient, [people]."""
        self._backward(losses.sum(), keep=True)
        norms = torch.stack([p._norm_sample.reshape(-1) for p in self._parameters]).norm(dim=0)
        self._hooked.disable_hooks()
        return norms.detach()

    @staticmethod
    def _backward(loss: torch.Tensor, *, keep: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss.backward(retain_graph=keep)

    def total(self) -> NDArray[np.float64]:
        """The sum, float64, flat in parameter order; zeros when nobody was seen."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        return np.concatenate([np.zeros(0), *(part.detach().reshape(-1).cpu().numpy() for part in parts)])


def ghost_part(
    task: GhostTask, phase: int, clip_norm: float, enrolled: Any, batch: NDArray[np.int64], stream: RandomSource
) -> NDArray[np.float64]:
    """`afml.training.clipping.clipped_part` of a task whose sums are clipped so; arguments and result are its.

    Raises:
        IntegrityError: The task gave something else than losses of these people.
    """
    if not len(batch):
        return np.zeros(task.length(phase))
    at_once = task.people_at_once(phase)
    with one_thread():
        sums = GhostSum(task.ghost_module(), clip_norm)
        for start in range(0, len(batch), at_once):
            sums.add(lambda module, some: task.losses(module, enrolled, some, stream), batch[start : start + at_once])
    total = sums.total()
    if len(total) != task.length(phase):
        raise IntegrityError(f"the task gave {len(total)} parameters, its phase declares {task.length(phase)}")
    return total
