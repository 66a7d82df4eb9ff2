"""What crossed an institution's border in a federated evaluation: every quantity, and what it may tell of somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from afml.consortium.run import RunConfig
from afml.core.simulation import SIMULATION
from afml.privacy.profile import GaussianProfile
from afml.release.evaluation.vector import MEMBERSHIP, RECOGNISED
from afml.tasks.evaluation.noised import figure
from afml.tasks.release.blocks import Blocks, Estimate

_WORDS = {
    RECOGNISED: "of each attack, how many people it names for their records",
    MEMBERSHIP: "of each score, the share of public people whom a person outranks, added up",
}
_HISTOGRAM = "people by truth and bin of the score"
_MOMENTS = "sums of truth, score, their squares and their product"


def crossed(run: RunConfig, blocks: Blocks, sums: Mapping[str, Estimate]) -> dict[str, Any]:
    """What the sum holds, and what each part of it may tell of one person.

    A person's vector is one Gaussian mechanism of mu = 1 / z, in which a block of the share s of the clip norm is
    one of mu = s / z by itself; s^2 is its part of the squared budget. The release is counted once, whichever of the
    institutions that the run allows for the person is at.

    Args:
        run: The evaluation's.
        blocks: Of a person's vector.
        sums: Block -> what came out of it.
    """
    whole, delta = 1 / run.phases[0].noise_multiplier, run.budget.delta
    quantities = []
    for block, share in zip(blocks.blocks, blocks.shares, strict=True):
        weight = float(np.asarray(block.weight).max())
        quantities.append(
            {
                "quantity": block.name,
                "says": _WORDS.get(block.name, _HISTOGRAM if len(block.shape) == 2 else _MOMENTS),
                "numbers": block.size,
                "sensitivity": figure(block.bound / weight),
                "noise_std": figure(sums[block.name].std.max()),
                "share": figure(share**2),
            }
            | _cost(run, whole * share, delta)
        )
    return {"delta": delta, **_cost(run, whole, delta), "quantities": quantities}


def _cost(run: RunConfig, mu: float, delta: float) -> dict[str, Any]:
    if run.seed is not None:  # whoever knows the seed takes the noise off again
        return {"insecure": SIMULATION, "ple_sigma": None, "epsilon": None}
    return {"ple_sigma": figure(mu), "epsilon": figure(GaussianProfile(mu).epsilon(delta))}
