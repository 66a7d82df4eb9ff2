"""The risk model: logistic regressions on panel-projected dosages, the only model that needs phenotypes."""

from __future__ import annotations

import torch
from torch import nn

#: The constant input in standard deviations of one feature, at most; see `with_constant`.
INTERCEPT_INPUT = 8.0


class RiskModel(nn.Module):
    """`logit P(case | x) = w . f(x) + b * c`, as one `nn.Linear` that Opacus has a sampler for.

    Args:
        sites: Number of sites; parameters are `phenotypes * (sites + 1)`.
        phenotypes: Binary phenotypes; one regression each, on the same features.
    """

    def __init__(self, sites: int, phenotypes: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(sites + 1, phenotypes, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of features with the constant column, [people, sites + 1] (see `with_constant`).

        Returns:
            [people], or [people, phenotypes] where there are several.
        """
        logits: torch.Tensor = self.linear(features)
        return logits[:, 0] if logits.shape[1] == 1 else logits


def with_constant(features: torch.Tensor, variance: float) -> torch.Tensor:
    """Append the constant input `c`, [people, sites] -> [people, sites + 1].

    `c` is several standard deviations of a feature: the intercept then moves its square times as fast as a
    weight, and an unbalanced phenotype is absorbed within the few rounds there are. It is bounded by a
    quarter of a record's typical length, so that it takes little of the clip norm where sites are few.

    Args:
        features: Panel-projected features.
        variance: Public mean variance of one feature (`PanelStatistics.variance`).
    """
    sites = features.shape[1]
    return torch.nn.functional.pad(features, (0, 1), value=(variance * min(INTERCEPT_INPUT**2, sites / 16)) ** 0.5)
