"""Clipped sums of per-person gradients, by Opacus.

The unit is the person: all rows of a person are added up before anything is clipped. Opacus does the
per-row gradients (`GradSampleModule`) and the clipping (`DPOptimizer.clip_and_accumulate`); its noise and
its division by a batch size are not used. The noise comes from `crypto.public.random` once per node and
round (afml.training.step), the divisor is the public enrolment count (meta-pytorch/opacus#571 shows what a
divisor taken from the data does to the guarantee).
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

#: Clip a hair below the bound, so that float32 rounding of a clipped gradient cannot pass it.
_BELOW = 1.0 - 1e-5


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
        # Any: Opacus hangs `grad_sample` and `summed_grad` on the parameters.
        self._parameters: list[Any] = list(module.parameters())
        self._optimizer = DPOptimizer(
            torch.optim.SGD(self._parameters, lr=1.0),
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
        """Unclipped gradients since the last `clip`, one tensor [people, *shape] per parameter, in its precision.

        Autocast leaves them in bfloat16, whose rounding could carry a clipped norm past the bound.
        """
        folded = []
        for parameter in self._parameters:
            rows = parameter.grad_sample.to(parameter.dtype)
            folded.append(rows.reshape(-1, self.rows, *rows.shape[1:]).sum(dim=1) if self.rows > 1 else rows)
        return folded

    def clip(self) -> None:
        """Fold rows into people, clip every person, add to the running sum and forget the gradients."""
        folded = self.per_person()
        before = [None if p.summed_grad is None else p.summed_grad.clone() for p in self._parameters]
        self._accumulate(folded)
        if not all(bool(torch.isfinite(p.summed_grad).all()) for p in self._parameters):
            # Somebody's gradient is not finite: that person contributes nothing, and nobody else notices.
            finite = torch.stack([torch.isfinite(g).flatten(1).all(dim=1) for g in folded]).all(dim=0)
            for parameter, summed in zip(self._parameters, before, strict=True):
                parameter.summed_grad = summed
            self._accumulate([torch.where(finite.reshape(-1, *[1] * (g.dim() - 1)), g, 0.0) for g in folded])
        for parameter in self._parameters:
            parameter.grad_sample = None
            parameter.grad = None

    def _accumulate(self, folded: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(self._parameters, folded, strict=True):
            parameter.grad_sample = gradient
        self._optimizer.clip_and_accumulate()

    def total(self) -> NDArray[np.float64]:
        """The sum over people of clipped gradients, flat in parameter order; zeros when nobody was seen."""
        parts = []
        for parameter in self._parameters:
            summed = parameter.summed_grad
            flat = torch.zeros_like(parameter) if summed is None else summed
            parts.append(flat.detach().reshape(-1).to("cpu", torch.float64).numpy())
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
