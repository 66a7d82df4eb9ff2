"""Clipped sums of per-person gradients, by Opacus.

The unit is the person: all rows of a person are added up before anything is clipped. Opacus does the
per-row gradients (`GradSampleModule`) and the clipping (`DPOptimizer.clip_and_accumulate`); its noise and
its division by a batch size are not used. The noise comes from `crypto.public.random` once per node and
round (afml.training.step), the divisor is the public enrolment count (meta-pytorch/opacus#571 shows what a
divisor taken from the data does to the guarantee).

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
from opacus.optimizers import DPOptimizer
from torch import nn

from afml.core.errors import IntegrityError
from afml.training.device import one_thread
from afml.training.task import Enrolled, Rows, Task
from crypto.public.random import RandomSource

#: Clip a hair below the bound, so that float64 rounding of a clipped gradient cannot pass it.
BELOW = 1.0 - 1e-9


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
            parameter.grad = None
        return Rows(gradients, self.owner)


class ClippedSum:
    """The running sum of people's clipped gradients of one block.

    Args:
        clip_norm: L2 bound of a person's contribution.
    """

    def __init__(self, clip_norm: float) -> None:
        self._bound = clip_norm * BELOW
        self._sums: list[Any] = []  # Opacus hangs `summed_grad` on these; they hold no values
        self._optimizer: Any = None

    def add(self, rows: Rows, people: int) -> None:
        """Fold the rows of each person, clip every person, add.

        Args:
            rows: Of one micro-batch.
            people: How many people it holds; each one's rows are all in it.

        Raises:
            IntegrityError: The rows are not those of so many people, or not of the same parameters as before.
        """
        folded = [fold(gradient, rows.owner, people) for gradient in rows.gradients]
        if not self._sums:
            self._begin(folded)
        elif [g.shape[1:] for g in folded] != [p.shape for p in self._sums]:
            raise IntegrityError("a task gave gradients of other parameters than before", where="training")
        before = [None if p.summed_grad is None else p.summed_grad.clone() for p in self._sums]
        self._accumulate(folded)
        if not all(bool(torch.isfinite(p.summed_grad).all()) for p in self._sums):
            # Somebody's gradient is not finite: that person contributes nothing, and nobody else notices.
            finite = torch.stack([torch.isfinite(g).reshape(len(g), -1).all(dim=1) for g in folded]).all(dim=0)
            for parameter, summed in zip(self._sums, before, strict=True):
                parameter.summed_grad = summed
            self._accumulate([torch.where(finite.reshape(-1, *[1] * (g.dim() - 1)), g, 0.0) for g in folded])
        for parameter in self._sums:
            parameter.grad_sample = None
            parameter.grad = None

    def _begin(self, folded: list[torch.Tensor]) -> None:
        # Opacus clips and sums in the precision of the parameters it is given.
        self._sums = [nn.Parameter(torch.empty(g.shape[1:], dtype=torch.float64, device=g.device)) for g in folded]
        self._optimizer = DPOptimizer(
            torch.optim.SGD(self._sums, lr=1.0),
            noise_multiplier=0.0,
            max_grad_norm=self._bound,
            expected_batch_size=None,
            loss_reduction="sum",
        )

    def _accumulate(self, folded: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(self._sums, folded, strict=True):
            parameter.grad_sample = gradient
        self._optimizer.clip_and_accumulate()

    def total(self) -> NDArray[np.float64]:
        """The sum, flat in parameter order; of no length when nobody was seen."""
        parts = [parameter.summed_grad.detach().reshape(-1).cpu().numpy() for parameter in self._sums]
        return np.concatenate([np.zeros(0), *parts])


def fold(gradient: torch.Tensor, owner: int | NDArray[np.int64], people: int) -> torch.Tensor:
    """Add up each person's rows, float64 [people, *shape].

    Args:
        gradient: [rows, *shape].
        owner: Consecutive rows of each person, or the person of every row, in [0, people).
        people: How many there are.

    Raises:
        IntegrityError: The rows do not belong to so many people.
    """
    rows = gradient.detach().to(torch.float64)
    if isinstance(owner, int):
        if len(rows) != people * owner:
            raise IntegrityError(
                f"a task gave {len(rows)} rows of {people} people, not {owner} of each", where="training"
            )
        return rows.reshape(-1, owner, *rows.shape[1:]).sum(dim=1) if owner > 1 else rows
    if len(owner) != len(rows) or (len(owner) and not 0 <= int(owner.min()) <= int(owner.max()) < people):
        raise IntegrityError(f"a task gave rows that do not belong to the {people} people asked for", where="training")
    folded = torch.zeros((people, *rows.shape[1:]), dtype=torch.float64, device=rows.device)
    return folded.index_add_(0, torch.from_numpy(np.asarray(owner)).to(rows.device), rows)


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
    total = np.concatenate([block.total() for block in sums])
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
