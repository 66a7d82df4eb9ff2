"""Clipped sums of the risk model's per-person gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.models.features import PanelStatistics
from afml.models.risk import RiskModel, with_constant
from afml.training.clipping import PersonGradients
from afml.training.cohort import Cohort
from afml.training.device import device

#: Gradient values of one micro-batch (float32): small enough to stay in a core's cache.
_MICRO_GRADIENTS = 400_000


def micro_batch(model: RiskModel) -> int:
    """People whose per-person gradients fit one micro-batch."""
    return max(1, _MICRO_GRADIENTS // model.linear.weight.numel())


def risk_loss(logits: torch.Tensor, phenotype: NDArray[np.int8]) -> torch.Tensor:
    """Cross-entropy summed over people and phenotypes; `logits`: [people] or [people, phenotypes]."""
    target = torch.from_numpy(phenotype.astype(np.float32)).reshape(logits.shape).to(logits.device)
    return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")


def risk_sum(
    model: RiskModel,
    clip_norm: float,
    statistics: PanelStatistics,
    cohort: Cohort,
    batch: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sum over the batch's people of clipped gradients of all phenotypes' losses together.

    Args:
        model: At the current parameters; it gets Opacus hooks, so use each object once.
        clip_norm: L2 bound of a person's gradient over all phenotypes.
        statistics: Panel statistics.
        cohort: The node's people.
        batch: Rows of the cohort.

    Returns:
        float64 [phenotypes * (sites + 1)], phenotype by phenotype.
    """
    gradients = PersonGradients(model.to(device()), clip_norm)
    rows = micro_batch(model)
    for start in range(0, len(batch), rows):
        part = batch[start : start + rows]
        features = torch.from_numpy(statistics.features(cohort.dosage[part]))
        logits = gradients.hooked(with_constant(features, statistics.variance).to(device()))
        gradients.backward(risk_loss(logits, cohort.phenotype[part]))
        gradients.clip()
    return gradients.total()
