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

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

#: Clip a hair below the bound, so that float64 rounding of a clipped gradient cannot pass it.
_BELOW = 1.0 - 1e-9


class PersonGradients:
    """Per-person gradients of one block of parameters, clipped and summed over micro-batches.

    Use: forward through `module`, `backward(loss.sum())`, then `clip()`; repeat; then `total()`.

    Args:
        module: A fresh module (Opacus hooks can be added only once). No layer may mix people.
        clip_norm: L2 bound of a person's contribution.
        rows_per_person: Consecutive rows of the module's input that belong to one person.
    """

    def __init__(self, module: nn.Module, clip_norm: float, rows_per_person: int = 1) -> None:
        module.train()
        self.hooked = GradSampleModule(module, loss_reduction="sum")
        self.module = module
        self.rows = rows_per_person
        # Any: Opacus hangs `grad_sample` on the parameters, and `summed_grad` on those of its optimizer.
        self._parameters: list[Any] = list(module.parameters())
        # Opacus clips and sums in the precision of the parameters it is given; these hold no values.
        self._sums: list[Any] = [nn.Parameter(torch.empty_like(p, dtype=torch.float64)) for p in self._parameters]
        self._optimizer = DPOptimizer(
            torch.optim.SGD(self._sums, lr=1.0),
            noise_multiplier=0.0,
            max_grad_norm=clip_norm * _BELOW,
            expected_batch_size=None,
            loss_reduction="sum",
        )

    @staticmethod
    def backward(loss: torch.Tensor) -> None:
        """Back-propagate a loss summed over people; fills the per-person gradients of every hooked module."""
        with warnings.catch_warnings():
            # The inputs are data and need no gradient, which is what torch's hook warns about.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss.backward()

    def per_person(self) -> list[torch.Tensor]:
        """Unclipped gradients since the last `clip`, one float64 tensor [people, *shape] per parameter."""
        folded = []
        for parameter in self._parameters:
            rows = parameter.grad_sample.to(torch.float64)
            folded.append(rows.reshape(-1, self.rows, *rows.shape[1:]).sum(dim=1) if self.rows > 1 else rows)
        return folded

    def clip(self) -> None:
        """Fold rows into people, clip every person, add to the running sum and forget the gradients."""
        folded = self.per_person()
        before = [None if p.summed_grad is None else p.summed_grad.clone() for p in self._sums]
        self._accumulate(folded)
        if not all(bool(torch.isfinite(p.summed_grad).all()) for p in self._sums):
            # Somebody's gradient is not finite: that person contributes nothing, and nobody else notices.
            finite = torch.stack([torch.isfinite(g).flatten(1).all(dim=1) for g in folded]).all(dim=0)
            for parameter, summed in zip(self._sums, before, strict=True):
                parameter.summed_grad = summed
            self._accumulate([torch.where(finite.reshape(-1, *[1] * (g.dim() - 1)), g, 0.0) for g in folded])
        for parameter in (*self._parameters, *self._sums):
            parameter.grad_sample = None
            parameter.grad = None

    def _accumulate(self, folded: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(self._sums, folded, strict=True):
            parameter.grad_sample = gradient
        self._optimizer.clip_and_accumulate()

    def total(self) -> NDArray[np.float64]:
        """The sum over people of clipped gradients, flat in parameter order; zeros when nobody was seen."""
        parts = []
        for parameter in self._sums:
            summed = parameter.summed_grad
            flat = torch.zeros_like(parameter) if summed is None else summed
            parts.append(flat.detach().reshape(-1).cpu().numpy())
        return np.concatenate(parts)


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
