"""What exact noise costs: of the noise multiplier, and of a node's processor time, five nodes, a million parameters.

Float64 noise and exact noise are measured right after each other, in turns, in one process; a ratio is the median over
those pairs. A node's way up is from its clipped sum to its ciphertexts, as the outbox stores them: noise, rotation,
rounding, encryption. Its way down is from the sum's ciphertexts to the update that is applied. Training, the wire and
the aggregator's sum, which would bring the ratio closer to 1, are left out. docs/design/noise.md says what is bought.

`noise_multiplier_lost`: the part of its multiplier that noise loses by being made for a slightly larger sensitivity,
the most of 1M and 11M parameters and both cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.privacy.noise import node_std, round_grid
from afml.training.step import Trainer
from benchmarks.codec import BINDING, CASES, COHORT, MILLION, NODES, usual_run
from benchmarks.supplied import Nobody, SuppliedTask
from benchmarks.verified import Way, paired
from crypto.public.random import RandomSource

SECTION = "trust"
BARS = {"noise_multiplier_lost": ("<=", 0.01), "noise_ratio": ("<=", 1.15)}
SIZES = (MILLION, 11 * MILLION)


@dataclass(frozen=True)
class Summed(Trainer):
    """A trainer whose clipped sum is ready.

    Attributes:
        ready: The clipped sum of every round, float64 [parameters].
    """

    ready: NDArray[np.float64] = field(kw_only=True)

    def clipped_sum(self, phase: int, batch: NDArray[np.int64], stream: RandomSource) -> NDArray[np.float64]:
        return self.ready


def run() -> dict[str, object]:
    """All figures."""
    ratios = {str(people): _ratio(usual_run(NODES, people, ple_sigma)) for people, ple_sigma in CASES}
    lost = max(_lost(usual_run(NODES, *case, size)) for case in CASES for size in SIZES)
    return {f"noise_ratio_{people}": round(ratio, 4) for people, ratio in ratios.items()} | {
        "noise_ratio": round(max(ratios.values()), 4),
        "noise_multiplier_lost": float(f"{lost:.3g}"),
    }


def exactly(config: RunConfig) -> RunConfig:
    """The same run with exact noise."""
    return config.model_copy(update={"exact_noise": True})


def _lost(config: RunConfig) -> float:
    """1 - z / z', where z' is what noise made for z would be accounted as if float64 added nothing."""
    phase = config.phases[0]
    return 1 - node_std(config, phase) / node_std(exactly(config), phase)


def _ratio(config: RunConfig) -> float:
    aligned = np.random.default_rng(1).normal(0, 1, MILLION)
    aligned *= config.enrolled[1] * config.phases[0].clip_norm / np.linalg.norm(aligned)
    ways = Way.of(config), Way.of(exactly(config))
    sums = [way.summed(dict.fromkeys(COHORT, aligned)) for way in ways]
    return paired(lambda: _round(ways[0], aligned, sums[0]), lambda: _round(ways[1], aligned, sums[1]))


def _round(way: Way, summed: NDArray[np.float64], totals: list[bytes]) -> None:
    """What a node does in a round beside training, both ways."""
    update = Summed(way.run, SuppliedTask(way.run), Nobody(), ready=summed).update(1, 1)
    fields = update.rounded(round_grid(way.run, 1))
    list(way.codecs[1].encode(way.checks[1].attach(fields, BINDING), binding=BINDING))
    way.down(totals)
