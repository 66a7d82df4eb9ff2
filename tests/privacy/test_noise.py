from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import ConfigError
from afml.privacy import noise
from afml.privacy.events import Gaussian
from crypto.public.random import SeededRandom
from tests.masking_runs import masking_run


def phase(z: float = 5.0, rate: float = 1.0, rounds: int = 4) -> Phase:
    return Phase(name="risk", rounds=rounds, sample_rate=rate, clip_norm=2.0, noise_multiplier=z, learning_rate=0.1)


def config(people: int = 300, quorum: int = 5, **changes: Any) -> RunConfig:
    fields: dict[str, Any] = {
        "run": "r",
        "consortium": "c",
        "sites": 10,
        "enrolled": {node: people + node for node in range(1, 6)},
        "quorum": quorum,
        "budget": Budget(delta=1e-5, ple_sigma=1.0),
        "phases": (phase(),),
    }
    return masking_run(**{**fields, **changes})


def test_distributed_shares_add_up_over_the_honest_nodes() -> None:
    run = config(quorum=4, max_colluding=1)
    std = noise.node_std(run, phase())
    assert std == pytest.approx(5.0 * 2.0 / math.sqrt(3))
    assert math.sqrt(3) * std == pytest.approx(5.0 * 2.0)  # 3 honest nodes of a quorum of 4
    assert noise.effective_multiplier(run, phase()) == 5.0
    assert noise.broken_multiplier(run, phase()) == pytest.approx(5.0 / math.sqrt(3))


def test_local_noise_trusts_nobody() -> None:
    run = config(noise="local")
    assert noise.node_std(run, phase()) == 10.0
    assert noise.broken_multiplier(run, phase()) == noise.effective_multiplier(run, phase()) == 5.0


def test_simulated_sum_carries_the_promised_noise() -> None:
    # The sum of the honest nodes after rounding, as released: 6 standard errors around the promise.
    run = config(quorum=5, max_colluding=1, people=50)
    grid, std = noise.grid_for(run, phase()).grid, noise.node_std(run, phase())
    n = 40_000
    total = np.zeros(n, dtype=np.int64)
    for node in range(4):
        rng = SeededRandom(7, node)
        total += grid.quantise(std * rng.normal(n), rng)
    released = grid.dequantise(total)
    rounding = 4 * grid.step**2 / 6  # stochastic rounding of each node, variance step^2 / 6 on average
    assert released.var() == pytest.approx(10.0**2 + rounding, rel=6 * math.sqrt(2 / n))
    assert abs(released.mean()) < 6 * 10.0 / math.sqrt(n)


def test_below_quorum_is_refused_by_the_node() -> None:
    noise.require_cohort(config(), 5)
    with pytest.raises(ConfigError, match="below the quorum of 5"):
        noise.require_cohort(config(), 4)


def test_too_many_colluders_for_the_quorum_are_refused() -> None:
    with pytest.raises(ValidationError, match="quorum >= max_colluding"):
        config(quorum=2, max_colluding=1)


def test_the_grid_holds_everything_and_is_the_same_everywhere() -> None:
    run = config()
    grid, added = noise.grid_for(run, phase())
    assert grid.half_range >= 305 * 2.0 + 12 * noise.node_std(run, phase()) - 1e-9
    assert grid.step * 4 <= noise.node_std(run, phase())
    assert 0 <= added < 1e-20


def test_a_grid_too_coarse_for_distributed_noise_is_refused_with_the_bits_that_do() -> None:
    run = config(people=100_000, bits=12)
    with pytest.raises(ConfigError, match=r"use bits = (\d+)") as caught:
        noise.grid_for(run, phase())
    bits = int(str(caught.value).split("bits = ")[1].split(",")[0])
    noise.grid_for(config(people=100_000, bits=bits), phase())
    with pytest.raises(ConfigError):
        noise.grid_for(config(people=100_000, bits=bits - 1), phase())
    # In local mode rounding comes after the full noise: any grid will do.
    assert noise.grid_for(config(people=100_000, bits=12, noise="local"), phase()).added_delta == 0.0


def test_events_of_rounds() -> None:
    assert noise.round_event(config(), phase()) == Gaussian(5.0)
    assert noise.broken_event(config(), phase()) == Gaussian(2.5)
