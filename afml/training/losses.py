"""The two losses of the game.

`L_ID = -log p_true` over a line-up of K profiles, and `L_Mask = -a * L_ID + lambda * |M|_1 + b * L_utility`.
The source prints `L_Mask = L_Adv + lambda * |M|_1`; with that sign the masker would help the identifier, so
"printed" is kept for ablation only. Cross-entropy also saturates: once the identifier is sure, its gradient
is zero and the masker learns nothing. The default therefore pays for the *margin* of the true candidate's
logit over the mean of the decoys, which does not saturate.
"""

from __future__ import annotations

from typing import Literal

import torch

Objective = Literal["margin", "printed", "confusion"]


def identification_loss(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the line-up, [people]; candidate 0 is the true one. `logits`: [people, K]."""
    return torch.logsumexp(logits, dim=1) - logits[:, 0]


def adversarial_loss(logits: torch.Tensor, objective: Objective) -> torch.Tensor:
    """What the masker pays for being identified, [people], to be minimised; `logits`: [people, K]."""
    if objective == "margin":
        return torch.relu(logits[:, 0] - logits[:, 1:].mean(dim=1))
    if objective == "printed":
        return identification_loss(logits)
    # Cross-entropy against the uniform distribution over the line-up: least when no candidate stands out.
    return torch.logsumexp(logits, dim=1) - logits.mean(dim=1)


def utility_loss(decoded: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Squared error of the score read back from the masked record, [people]; its panel variance is 1.

    Both are [people], or [people, scores]: then the mean over scores.
    """
    error = (decoded - score) ** 2
    return error if error.dim() == 1 else error.mean(dim=1)


def masking_loss(
    logits: torch.Tensor,
    mask: torch.Tensor,
    decoded: torch.Tensor,
    score: torch.Tensor,
    *,
    objective: Objective,
    adversary_weight: float,
    utility_weight: float,
    site_cost: float,
) -> torch.Tensor:
    """`a * adversarial + b * utility + lambda * |M|_1`, [people].

    Args:
        logits: Line-up logits, [people, K].
        mask: Masks in {0, 1} with a relaxed gradient, [people, sites].
        decoded: Risk score decoded from the masked record, [people] or [people, scores].
        score: Risk score of the whole record, same shape.
        objective: Form of the adversarial term.
        adversary_weight: a.
        utility_weight: b.
        site_cost: lambda, per kept site.
    """
    return (
        adversary_weight * adversarial_loss(logits, objective)
        + utility_weight * utility_loss(decoded, score)
        + site_cost * mask.sum(dim=1)
    )
