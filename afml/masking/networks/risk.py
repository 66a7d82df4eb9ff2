"""The risk model: regressions on panel-projected dosages and covariates, the only model that needs phenotypes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

#: Second derivative of a person's loss at the zero model, by kind of trait: the inverse of a Newton step's length.
CURVATURE = {"binary": 0.25, "quantitative": 1.0}
#: Mean square of the first: a residual of one half; of a normal trait in units of two spreads, clipped where the
#: default clip norm cuts a median record, at one spread: E[min(r^2, 1)] / 4 with r ~ N(0, 1).
RESIDUAL = {"binary": 0.25, "quantitative": 0.129}
#: The constant input in standard deviations of one feature, at most; see `constant_input`.
INTERCEPT_INPUT = 8.0


class RiskModel(nn.Module):
    """`w . f(x) + b * c + v . u`, as one `nn.Linear` that Opacus has a sampler for.

    It is the logit of a binary trait, and the prediction of a quantitative one; f are the features, c the
    constant input and u the covariates.

    Args:
        sites: Number of sites; parameters are `phenotypes * (sites + 1 + covariates)`.
        phenotypes: Traits; one regression each, on the same inputs.
        covariates: Inputs beside the features.
    """

    def __init__(self, sites: int, phenotypes: int = 1, covariates: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(sites + 1 + covariates, phenotypes, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Predictions from all inputs, [people, sites + 1 + covariates] (see `with_constant`, `with_covariates`).

        Returns:
            [people], or [people, phenotypes] where there are several.
        """
        logits: torch.Tensor = self.linear(features)
        return logits[:, 0] if logits.shape[1] == 1 else logits


def constant_input(sites: int, variance: float) -> float:
    """The constant input `c`: several standard deviations of a feature.

    The intercept then moves c squared over their variance times as fast as a weight, and an unbalanced
    phenotype is absorbed within the few rounds there are. It is bounded by a quarter of a record's typical
    length, so that it takes little of the clip norm where sites are few.
    """
    return float((variance * min(INTERCEPT_INPUT**2, sites / 16)) ** 0.5)


def with_constant(features: torch.Tensor, variance: float) -> torch.Tensor:
    """Append the constant input, [people, sites] -> [people, sites + 1].

    Args:
        features: Panel-projected features.
        variance: Public mean variance of one feature (`PanelStatistics.variance`).
    """
    return torch.nn.functional.pad(features, (0, 1), value=constant_input(features.shape[1], variance))


def with_covariates(inputs: torch.Tensor, covariates: NDArray[np.float32], variance: float) -> torch.Tensor:
    """Append covariates on the scale of the constant input, so that they are fitted as fast as the intercept.

    Args:
        inputs: Features and constant, [people, sites + 1].
        covariates: In spreads about their centres, [people, covariates].
        variance: As in `with_constant`.

    Returns:
        [people, sites + 1 + covariates].
    """
    if not covariates.shape[1]:
        return inputs
    scale = constant_input(inputs.shape[1] - 1, variance)
    return torch.cat([inputs, torch.from_numpy(covariates * np.float32(scale)).to(inputs)], dim=1)
