"""The two losses of the game.

`L_ID` is the cross-entropy of a question about a masked record, asked in one of two forms. "lineup": which of
these K profiles is it? `L_ID = -log p_true`, p the softmax of the K logits. "pairs", the source's form: is it
this one, yes or no? Binary cross-entropy of each (record, candidate) pair, the true pair weighing as much as
all K - 1 decoys together, so that the answer without evidence is one half whatever K is.

`L_Mask = -a * L_ID + lambda * |M|_1 + b * L_utility`.
The source prints `L_Mask = L_Adv + lambda * |M|_1`; with that sign the masker would help the identifier, so
"printed" is kept for ablation only. Cross-entropy also saturates: once the identifier is sure, its gradient
is zero and the masker learns nothing. The default therefore pays for the *margin* of the true candidate's
logit over the mean of the decoys, which does not saturate.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import softplus

from afml.masking.settings import GameSettings

Objective = Literal["margin", "printed", "confusion"]
Identification = Literal["lineup", "pairs"]


def identification_loss(logits: torch.Tensor, form: Identification = "lineup") -> torch.Tensor:
    """What the identifier pays for a wrong answer, [people], to be minimised.

    Args:
        logits: [people, K]; candidate 0 is the true one.
        form: "lineup": `log sum_j exp(l_j) - l_0`. "pairs": `(softplus(-l_0) + mean_{j>0} softplus(l_j)) / 2`,
            where `softplus(-l) = -log s(l)` and `softplus(l) = -log(1 - s(l))` for the logistic s.
    """
    if form == "pairs":
        return _balanced(torch.cat([softplus(-logits[:, :1]), softplus(logits[:, 1:])], dim=1))
    return torch.logsumexp(logits, dim=1) - logits[:, 0]


def adversarial_loss(logits: torch.Tensor, objective: Objective, form: Identification = "lineup") -> torch.Tensor:
    """What the masker pays for being identified, [people], to be minimised.

    "margin" is the same for both forms, since both rank the candidates by their logits. "printed" is `L_ID`
    with the source's sign. "confusion" is the cross-entropy against the answer of somebody who knows nothing:
    1 / K for each candidate of a line-up, 1 / 2 for each pair.

    Args:
        logits: [people, K]; candidate 0 is the true one.
        objective: Which of the three.
        form: The question that the identifier answers.
    """
    if objective == "margin":
        return torch.relu(logits[:, 0] - logits[:, 1:].mean(dim=1))
    if objective == "printed":
        return identification_loss(logits, form)
    if form == "pairs":
        return _balanced(softplus(logits) - 0.5 * logits)
    return torch.logsumexp(logits, dim=1) - logits.mean(dim=1)


def _balanced(pairs: torch.Tensor) -> torch.Tensor:
    """Mean over pairs [people, K] in which the true one weighs as much as all decoys together, [people]."""
    return 0.5 * (pairs[:, 0] + pairs[:, 1:].mean(dim=1))


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
    settings: GameSettings,
    adversary_weight: float,
) -> torch.Tensor:
    """`a * adversarial + b * utility + lambda * |M|_1`, [people].

    Args:
        logits: Line-up logits, [people, K].
        mask: Masks in {0, 1} with a relaxed gradient, [people, sites].
        decoded: Risk score decoded from the masked record, [people] or [people, scores].
        score: Risk score of the whole record, same shape.
        settings: Form of the adversarial term and the identifier's question; b and lambda (per kept site).
        adversary_weight: a.
    """
    return (
        adversary_weight * adversarial_loss(logits, settings.objective, settings.identification)
        + settings.utility_weight * utility_loss(decoded, score)
        + settings.site_cost * mask.sum(dim=1)
    )
