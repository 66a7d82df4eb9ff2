"""The Masking Network: which genotypes of a record to keep.

`M(x) = sigmoid(CNN(x, annotations) + per-site terms + context)`. The convolution sees neighbouring sites
and their annotations; the per-site terms learn that a site is worth keeping at all; the *context* is a
handful of learned scores of the whole person that shift every site's logit, so that what is kept may say
something about the person's risk (without it a mask can only be the same for everybody with the same
local genotypes; `context=0` makes that network, for comparison).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from afml.masking.networks.layers import SiteAffine

#: Logits are this many times the per-site sums, so that Adam's steps of 1e-3 can open or close a site.
SITE_LOGIT_SCALE = 10.0


class MaskingNetwork(nn.Module):
    """Keep-logits per person and site.

    Args:
        sites: Number of sites.
        annotations: Annotation channels per site.
        channels: Width of the convolution.
        kernel: Sites seen by one convolution, odd.
        context: Person-level scores; the first is meant to start at the risk model's direction. With 0 the
            network has neither scores nor the shifts that they cause: a site's logit follows from the
            genotypes near it alone.
        normalisation: "group" (each person alone; required under DP) or "batch" (mixes people in training,
            public data only; evaluated with running means and variances, which are buffers).
    """

    def __init__(
        self,
        sites: int,
        annotations: int,
        *,
        channels: int = 8,
        kernel: int = 9,
        context: int = 4,
        normalisation: Literal["group", "batch"] = "group",
    ) -> None:
        super().__init__()

        def norm() -> nn.Module:
            return nn.GroupNorm(min(4, channels), channels) if normalisation == "group" else nn.BatchNorm1d(channels)

        self.cnn = nn.Sequential(
            nn.Conv1d(2 + annotations, channels, kernel, padding=kernel // 2),
            norm(),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel, padding=kernel // 2),
            norm(),
            nn.ReLU(),
            nn.Conv1d(channels, 1, 1),
        )
        self.own = SiteAffine(sites, weight=0.0, bias=0.0)
        self.scores = context
        if context:
            self.context = nn.Linear(sites, context, bias=False)
            self.shift = nn.Linear(context, sites, bias=False)
            self.interaction = nn.Linear(context, sites, bias=False)
            nn.init.normal_(self.context.weight, std=sites**-0.5)
            nn.init.normal_(self.shift.weight, std=0.02)
            nn.init.normal_(self.interaction.weight, std=0.02)

    def start_context(self, direction: torch.Tensor) -> None:
        """Let the first context scores start at `direction`, linear in standardised dosages.

        Args:
            direction: [sites] or [scores, sites]; scores beyond the network's own number are left out.
        """
        if not self.scores:
            return
        rows = torch.atleast_2d(direction)[: self.scores]
        with torch.no_grad():
            self.context.weight[: len(rows)].copy_(rows)

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        """Logits of keeping a site.

        Args:
            channels: Standardised dosage (0 where missing), called flag, annotations: [people, 2 + A, sites].

        Returns:
            Logits, [people, sites]; `torch.sigmoid` of them is M(x).
        """
        standard = channels[:, 0]  # [people, sites]
        site = self.own(standard)
        if self.scores:
            scores = torch.tanh(self.context(standard))  # [people, context]
            site = site + self.shift(scores) + self.interaction(scores) * standard
        return self.cnn(channels)[:, 0] + SITE_LOGIT_SCALE * site


def relaxed_mask(logits: torch.Tensor, uniform: torch.Tensor, temperature: float) -> torch.Tensor:
    """Hard 0/1 masks with the gradient of the binary-concrete relaxation (Maddison et al. 2017).

    Hard in the forward pass because a soft multiplicative mask is invertible: 0.3 * x still shows x.

    Args:
        logits: Keep-logits, [people, sites].
        uniform: Uniforms in [0, 1), same shape.
        temperature: Of the relaxation; smaller is steeper.
    """
    clipped = uniform.clamp(1e-6, 1 - 1e-6)
    soft = torch.sigmoid((logits + torch.log(clipped) - torch.log1p(-clipped)) / temperature)
    hard = (soft > 0.5).to(soft.dtype)
    return hard + (soft - soft.detach())  # the bracket is exactly 0: the mask stays exactly 0 or 1


def hard_mask(logits: torch.Tensor) -> torch.Tensor:
    """The masks of a release: keep where M(x) > 1/2. Deterministic: repeated releases say nothing new."""
    return logits > 0
