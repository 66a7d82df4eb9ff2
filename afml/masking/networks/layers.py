"""Layers with parameters per site, and their per-person gradients."""

from __future__ import annotations

import torch
from opacus.grad_sample import register_grad_sampler
from torch import nn


class SiteAffine(nn.Module):
    """`y[n, s] = x[n, s] * weight[s] + bias[s]`: one weight and one offset per site.

    Args:
        sites: Number of sites.
        weight: Initial value of every weight.
        bias: Initial value of every offset.
    """

    def __init__(self, sites: int, *, weight: float, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((sites,), weight))
        self.bias = nn.Parameter(torch.full((sites,), bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply to [rows, sites]."""
        return x * self.weight + self.bias


@register_grad_sampler(SiteAffine)  # type: ignore[untyped-decorator]
def site_affine_gradients(
    layer: SiteAffine, activations: list[torch.Tensor], backprops: torch.Tensor
) -> dict[nn.Parameter, torch.Tensor]:
    """Per-row gradients of `SiteAffine`: each row touches each parameter once, so no sum is needed."""
    gradients: dict[nn.Parameter, torch.Tensor] = {}
    if layer.weight.requires_grad:
        gradients[layer.weight] = backprops * activations[0].to(backprops.dtype)  # [rows, sites]
    if layer.bias.requires_grad:
        gradients[layer.bias] = backprops.clone()
    return gradients
