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
from afml.masking.networks.risk import RiskModel, with_constant, with_covariates
from afml.training.outer import Outer

Kind = Literal["binary", "quantitative"]
#: Inputs of one micro-batch (float32): small enough to stay in a core's cache, and little is lost to calls.
_MICRO_INPUTS = 400_000


def risk_inputs(statistics: PanelStatistics, people: Enrolled) -> torch.Tensor:
    """All that the risk model sees of people: features, constant, covariates, [people, sites + 1 + covariates]."""
    features = torch.from_numpy(statistics.features(people.dosage))
    return with_covariates(with_constant(features, statistics.variance), people.extras, statistics.variance)


def micro_batch(inputs: int) -> int:
    """People of so many inputs who fit one micro-batch."""
    return max(1, _MICRO_INPUTS // max(1, inputs))


def risk_gradients(
    model: RiskModel,
    inputs: torch.Tensor,
    phenotype: NDArray[np.int8] | NDArray[np.float64],
    kinds: Sequence[Kind] = (),
) -> Outer:
    """Everybody's gradient of `risk_loss`: what it says of their predictions, times their inputs.

    Args:
        model: At the present parameters.
        inputs: `risk_inputs`, [people, inputs].
        phenotype, kinds: As in `risk_loss`.
    """
    with torch.no_grad():
        predicted = model(inputs)
    predicted.requires_grad_()
    (residual,) = torch.autograd.grad(risk_loss(predicted, phenotype, kinds), predicted)
    return Outer(residual.reshape(len(inputs), -1), inputs)


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
