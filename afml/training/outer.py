"""Gradients of a linear map as what they are, products of two vectors, which nobody multiplies out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Outer:
    """Gradients of a linear map of one vector a row: that of row i is the outer product of left[i] and right[i].

    So many products are never made: norms and sums follow from the factors (Goodfellow 2015, arXiv:1510.01799).

    Attributes:
        left: Of the outputs, [rows, outputs].
        right: The inputs, [rows, inputs].
    """

    left: torch.Tensor
    right: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        """[rows, outputs, inputs], as of the tensor that it stands for."""
        return self.left.shape + self.right.shape[1:]

    @property
    def device(self) -> torch.device:
        """Where the factors are."""
        return self.right.device

    def dense(self) -> torch.Tensor:
        """The products, [rows, outputs, inputs]."""
        return self.left[:, :, None] * self.right[:, None, :]
