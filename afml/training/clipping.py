"""Clipped sums of per-person gradients.

The unit is the person: all rows of a person are added up before anything is clipped. Opacus does the per-row gradients
(`GradSampleModule`). What its `DPOptimizer.clip_and_accumulate` does next is done here piece by piece
(`afml.training.folding`): it wants a float64 copy of the whole micro-batch. Its noise and its division by a batch size
are not used. The noise comes from `crypto.public.random` once per node and round (afml.training.step), the divisor is
the public enrolment count (meta-pytorch/opacus#571 shows what a divisor taken from the data does to the guarantee).

Gradients are float32; norms, clipping and the sum over people are float64. In float32 the norm of 1e5 values is off
by up to 1e-4, and a sum over 1e5 people by more than a thousandth of one person's bound: adding a person would then
move the sum by more than the noise was made for.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from torch import nn

from afml.core.errors import IntegrityError
from afml.core.threads import one_thread
from afml.training.folding import folded
from afml.training.task import Enrolled, Rows, Task
from crypto.public.random import RandomSource

#: Clip a hair below the bound, so that float64 rounding of a clipped gradient cannot pass it.
BELOW = 1.0 - 1e-9
_ABOVE_ZERO = 1e-6  # added to a norm that something is divided by, as Opacus does


class RowGradients:
    """Gradients of one block of parameters for every row of a micro-batch.

    Use: forward through `hooked`, `backward(loss.sum())`, then `rows()`; repeat.

    Args:
        module: A fresh module (Opacus hooks can be added only once). No layer may mix rows.
        owner: Whose rows they will be, see `afml.training.task.Rows`.
    """

    def __init__(self, module: nn.Module, owner: int = 1) -> None:
        module.train()
        self.hooked = GradSampleModule(module, loss_reduction="sum")
        self.module = module
        self.owner = owner
        # Any: Opacus hangs `grad_sample` on the parameters. A frozen one has no gradient.
        self._parameters: list[Any] = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for parameter in self._parameters:
            parameter.register_post_accumulate_grad_hook(_forget)

    @staticmethod
    def backward(loss: torch.Tensor) -> None:
        """Back-propagate a loss summed over rows; fills the gradients of every hooked module."""
        with warnings.catch_warnings():
            # The inputs are data and need no gradient, which is what torch's hook warns about.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss.backward()

    def rows(self) -> Rows:
        """The gradients since the last call, which forgets them."""
        gradients = [parameter.grad_sample for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad_sample = None
        return Rows(gradients, self.owner)


def _forget(parameter: torch.Tensor) -> None:
    """The gradient of all rows together, which nobody wants; at once, so that not all parameters' are held."""
    parameter.grad = None


class ClippedSum:
    """The running sum of people's clipped gradients of one block.

    Args:
        clip_norm: L2 bound of a person's contribution.
    """

    def __init__(self, clip_norm: float) -> None:
        self._bound = clip_norm * BELOW
        self._shapes: list[torch.Size] = []
        self._sum = torch.zeros(0, dtype=torch.float64)

    def add(self, rows: Rows, people: int) -> None:
        """Fold the rows of each person, clip every person, add. One whose gradient is not finite contributes nothing.

        Args:
            rows: Of one micro-batch.
            people: How many people it holds; each one's rows are all in it.

        Raises:
            IntegrityError: The rows are not those of so many people, or not of the same parameters as before.
        """
        parameters = [folded(gradient, rows.owner, people) for gradient in rows.gradients]
        shapes = [gradient.shape[1:] for gradient in rows.gradients]
        if not self._shapes:
            self._shapes = shapes
            length = sum(math.prod(shape) for shape in shapes)
            self._sum = torch.zeros(length, dtype=torch.float64, device=rows.gradients[0].device if shapes else None)
        elif shapes != self._shapes:
            raise IntegrityError("a task gave gradients of other parameters than before", where="training")
        if not people or not shapes:
            return
        norms = torch.stack([parameter.norms() for parameter in parameters], dim=1).norm(2, dim=1)
        shares = torch.where(torch.isfinite(norms), (self._bound / (norms + _ABOVE_ZERO)).clamp(max=1.0), math.nan)
        for parameter, total in zip(parameters, self._sum.split([math.prod(shape) for shape in shapes]), strict=True):
            parameter.add_to(total, shares)

    def total(self) -> NDArray[np.float64]:
        """The sum, flat in parameter order; of no length when nobody was seen."""
        return self._sum.cpu().numpy()


def clipped_part(
    task: Task, phase: int, clip_norm: float, enrolled: Enrolled, batch: NDArray[np.int64], stream: RandomSource
) -> NDArray[np.float64]:
    """Sum over the batch's people of their clipped gradients, by this process alone, without noise.

    Args:
        task: At the parameters of the round.
        phase: Index of the phase.
        clip_norm: L2 bound of one person's contribution to the whole vector.
        enrolled: The node's people.
        batch: Rows of `enrolled`, each at most once.
        stream: Source of each person's own randomness.

    Returns:
        float64 [task.length(phase)]; zeros for an empty batch.

    Raises:
        IntegrityError: The task gave something else than gradients of these people.
    """
    shares = task.blocks(phase)
    if not shares or not math.fsum(share * share for share in shares) <= 1.0 + 1e-12:  # so that NaN is refused
        raise IntegrityError("the blocks of the update share out more than the clip norm", where=f"phase {phase}")
    sums = [ClippedSum(clip_norm * share) for share in shares]
    at_once = task.people_at_once(phase)
    with one_thread():
        for start in range(0, len(batch), at_once):
            people = batch[start : start + at_once]
            blocks = task.gradients(phase, enrolled, people, stream)
            if len(blocks) != len(sums):
                raise IntegrityError(
                    f"the task gave {len(blocks)} blocks, its phase declares {len(sums)}", where="training"
                )
            while blocks:  # let go one by one: the next micro-batch finds its memory free and still in the cache
                sums[len(blocks) - 1].add(blocks.pop(), len(people))
    length = task.length(phase)
    if not len(batch):
        return np.zeros(length)
    total = sums[0].total() if len(sums) == 1 else np.concatenate([block.total() for block in sums])
    if len(total) != length:
        raise IntegrityError(f"the task gave {len(total)} parameters, its phase declares {length}", where="training")
    return total


def flatten(module: nn.Module) -> NDArray[np.float64]:
    """All parameters in order, float64."""
    return np.concatenate([p.detach().reshape(-1).to("cpu", torch.float64).numpy() for p in module.parameters()])


def unflatten(module: nn.Module, values: NDArray[np.float64]) -> None:
    """Write flat parameters back, in the order of `flatten`."""
    start = 0
    with torch.no_grad():
        for parameter in module.parameters():
            part = values[start : start + parameter.numel()]
            parameter.copy_(torch.from_numpy(np.array(part)).reshape(parameter.shape))
            start += parameter.numel()
