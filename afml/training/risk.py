"""Clipped sums of the risk model's per-person gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.models.features import PanelStatistics
from afml.models.risk import RiskModel, with_constant, with_covariates
from afml.training.clipping import PersonGradients
from afml.training.cohort import Cohort
from afml.training.device import device

Kind = Literal["binary", "quantitative"]
#: Gradient values of one micro-batch (float32): small enough to stay in a core's cache.
_MICRO_GRADIENTS = 400_000


def risk_inputs(statistics: PanelStatistics, people: Cohort) -> torch.Tensor:
    """All that the risk model sees of people: features, constant, covariates, [people, sites + 1 + covariates]."""
    features = torch.from_numpy(statistics.features(people.dosage))
    return with_covariates(with_constant(features, statistics.variance), people.extras, statistics.variance)


def micro_batch(model: RiskModel) -> int:
    """People whose per-person gradients fit one micro-batch."""
    return max(1, _MICRO_GRADIENTS // model.linear.weight.numel())


def risk_loss(
    predicted: torch.Tensor, phenotype: NDArray[np.int8] | NDArray[np.float64], kinds: Sequence[Kind] = ()
) -> torch.Tensor:
    """Summed over people and traits: cross-entropy of binary traits, half the squared error of quantitative ones.

    Args:
        predicted: [people] or [people, traits].
        phenotype: Targets, as in `Cohort`.
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


def risk_sum(
    model: RiskModel,
    clip_norm: float,
    statistics: PanelStatistics,
    cohort: Cohort,
    batch: NDArray[np.int64],
    kinds: Sequence[Kind] = (),
) -> NDArray[np.float64]:
    """Sum over the batch's people of clipped gradients of all traits' losses together.

    Args:
        model: At the current parameters; it gets Opacus hooks, so use each object once.
        clip_norm: L2 bound of a person's gradient over all traits, covariates included.
        statistics: Panel statistics.
        cohort: The node's people.
        batch: Rows of the cohort.
        kinds: Of the traits; all binary where not given.

    Returns:
        float64 [traits * (sites + 1 + covariates)], trait by trait.
    """
    gradients = PersonGradients(model.to(device()), clip_norm)
    rows = micro_batch(model)
    for start in range(0, len(batch), rows):
        part = cohort.rows(batch[start : start + rows])
        predicted = gradients.hooked(risk_inputs(statistics, part).to(device()))
        gradients.backward(risk_loss(predicted, part.phenotype, kinds))
        gradients.clip()
    return gradients.total()
