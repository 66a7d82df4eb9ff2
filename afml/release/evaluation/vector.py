"""What every held-out person adds to a federated evaluation of releases: one vector, no bound of which is a guess.

`recognised`: of each attack, the probability that it names the person for the person's record. `membership`: of each
score, the share of public people whom the person outranks (ties half): its mean over people is the AUC (DeLong et al.
1988). Both lie in [0, 1], half a unit from the centre. Of each trait two blocks of `afml.tasks.evaluation.vector`, by
what the released record says and by the model's score of the raw genotypes: where truth and score fall among bins, or
the moments of the two.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from afml.data.columns import Trait
from afml.data.schema import FARTHEST_SPREADS
from afml.release.evaluation.settings import ReleaseEvaluationSettings
from afml.tasks.evaluation import vector as scored
from afml.tasks.evaluation.answers import Answers
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.release.blocks import Block, Blocks

RECOGNISED, MEMBERSHIP = "recognised", "membership"
MEMBERSHIP_SCORES = ("likelihood ratio", "own pattern", "file frequencies", "presence")
"""Names of `afml.evaluation.disclosure.membership_suite`; a test holds them to it."""
SIDES = ("released", "raw")
"""What a trait is predicted from."""


def blocks_of(settings: ReleaseEvaluationSettings) -> Blocks:
    """The vector of an evaluation."""
    rest = [_shares(MEMBERSHIP, len(MEMBERSHIP_SCORES))]
    for trait in settings.traits:
        (block,) = scored.blocks_of(scale_of(trait, settings)).blocks
        rest += [replace(block, name=side_of(trait, side)) for side in SIDES]
    others = math.fsum(block.bound**2 for block in rest)
    first, share = _shares(RECOGNISED, len(settings.attacks)), settings.recognised_share
    bound = math.sqrt(others * share / (1 - share))
    return Blocks(replace(first, bound=bound, weight=bound / first.bound), *rest)


def _shares(name: str, numbers: int) -> Block:
    """Numbers in [0, 1]: about 1/2 no such vector is longer than half the root of their number."""
    return Block(name, (numbers,), bound=math.sqrt(numbers) / 2, centre=0.5, sure=True)


def side_of(trait: Trait, side: str) -> str:
    """The block of a trait as predicted from released or raw records."""
    return f"{trait.name}, {side}"


def scale_of(trait: Trait, settings: ReleaseEvaluationSettings) -> EvaluationSettings:
    """How a trait's truth and score become a vector: both in standard deviations or declared spreads, to 4 of them."""
    return EvaluationSettings(
        model=settings.model,
        outcome=trait.kind,
        target=trait.name,
        bins=settings.bins,
        low=-FARTHEST_SPREADS,
        high=FARTHEST_SPREADS,
    )


def of_trait(
    trait: Trait, truth: NDArray[np.float64], said: NDArray[np.float64], settings: ReleaseEvaluationSettings
) -> NDArray[np.float64]:
    """Everybody's values of one block of a trait.

    Args:
        trait: Its kind and scale.
        truth: As in the phenotype table, [people].
        said: Scores in standard deviations of public people's, [people].
        settings: How they are added up.

    Returns:
        float64 [people, *shape of the block].
    """
    known = truth if trait.kind == "binary" else trait.scaled(truth)
    answers = Answers(trait.name, trait.kind, said, known, np.arange(len(truth)))
    return scored.vectors(answers, scale_of(trait, settings))
