"""The risk model's inputs, its loss, and how many people fit a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.masking.enrolled import Enrolled
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.risk import with_constant, with_covariates

Kind = Literal["binary", "quantitative"]
#: Gradient values of one micro-batch (float32): small enough to stay in a core's cache.
_MICRO_GRADIENTS = 400_000


def risk_inputs(statistics: PanelStatistics, people: Enrolled) -> torch.Tensor:
    """All that the risk model sees of people: features, constant, covariates, [people, sites + 1 + covariates]."""
    features = torch.from_numpy(statistics.features(people.dosage))
    return with_covariates(with_constant(features, statistics.variance), people.extras, statistics.variance)


def micro_batch(parameters: int) -> int:
    """People whose per-person gradients of so many values fit one micro-batch."""
    return max(1, _MICRO_GRADIENTS // max(1, parameters))


def risk_loss(
    predicted: torch.Tensor, phenotype: NDArray[np.int8] | NDArray[np.float64], kinds: Sequence[Kind] = ()
) -> torch.Tensor:
    """Summed over people and traits: cross-entropy of binary traits, half the squared error of quantitative ones.

    Args:
        predicted: [people] or [people, traits].
        phenotype: Targets, as in `Enrolled`.
        kinds: Of the traits; all binary where not given.
    """
    target = torch.from_numpy(phenotype.astype(np.float32)).reshape(predicted.shape).to(predicted.device)
    if "quantitative" not in kinds:
        return nn.functional.binary_cross_entropy_with_logits(predicted, target, reduction="sum")
    number = torch.tensor([kind == "quantitative" for kind in kinds], device=predicted.device)
    predicted, target = predicted.reshape(len(predicted), -1), target.reshape(len(target), -1)  # [people, traits]
    loss = 0.5 * nn.functional.mse_loss(predicted[:, number], target[:, number], reduction="sum")
    return loss + nn.functional.binary_cross_entropy_with_logits(
        predicted[:, ~number], target[:, ~number], reduction="sum"
    )
