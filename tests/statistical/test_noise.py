"""Noise as it comes out of the decrypted sum: variance, shape, independence. Seeds are fixed.

Each test refuses a right mechanism with probability at most FALSE_ALARM over its choice of seed; with the
seed fixed it passes for good, and fails when the mechanism changes enough to matter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, kstest, norm

from afml.audit.rounds import Channel, nobody, plain_total, play
from afml.consortium.run import RunConfig
from afml.masking.kind import masking_task
from afml.privacy.noise import grid_for, node_std
from crypto.public.grid import Grid
from crypto.public.random import SeededRandom, SystemRandom
from tests.masking.simulated import config, dosages, sites_panel

FALSE_ALARM = 1e-6
SITES, NODES, ROUNDS = 8191, 5, 2
PARAMETERS = SITES + 1


def make(noise: str) -> RunConfig:
    base = config(SITES, 300, nodes=NODES, noise=noise, seed=20)
    phase = base.phases[0].model_copy(update={"rounds": ROUNDS, "parameters": PARAMETERS})
    return base.model_copy(update={"phases": (phase,)})


def exchanged(run: RunConfig) -> tuple[list[NDArray[np.int64]], list[dict[int, NDArray[np.int64]]]]:
    """Decrypted sums and each node's own integers, by round, where nobody has people: noise alone."""
    task = masking_task(run, sites_panel(SITES), dosages(12, SITES, seed=0, missing=0.0))
    people = dict.fromkeys(run.nodes, nobody(SITES))
    fields = [play(task, run, people, number) for number in range(1, ROUNDS + 1)]
    channel = Channel(run)
    return [channel.total(each, number) for number, each in enumerate(fields, 1)], fields


@pytest.fixture(scope="module", params=["distributed", "local"])
def exchange(request: pytest.FixtureRequest) -> tuple[RunConfig, Any, Any]:
    run = make(request.param)
    return run, *exchanged(run)


def within(statistic: float, distribution: Any, tests: int = 1) -> None:
    """Two-sided: the statistic is not in a tail of FALSE_ALARM / tests."""
    tail = FALSE_ALARM / tests / 2
    assert distribution.ppf(tail) < statistic < distribution.isf(tail)


def test_the_decrypted_sum_is_the_sum(exchange: Any) -> None:
    _, sums, fields = exchange
    for total, each in zip(sums, fields, strict=True):
        np.testing.assert_array_equal(total, plain_total(each))


def test_the_decrypted_sum_carries_the_promised_variance(exchange: Any) -> None:
    """Sum of squares over the promised variance is chi-square with one degree per coordinate."""
    run, sums, _ = exchange
    phase, grid = run.phases[0], grid_for(run, run.phases[0]).grid
    honest = 1.0 if run.noise == "local" else 1 / (run.quorum - run.max_colluding)
    promised = (phase.noise_multiplier * phase.clip_norm) ** 2 * honest  # of one node
    rounding = grid.step**2 / 6  # mean of f (1 - f) over a uniform fraction f
    for total in sums:
        released = grid.dequantise(total)
        within(float(np.sum(released**2)) / (NODES * (promised + rounding)), chi2(PARAMETERS), ROUNDS)
        within(float(released.mean() / math.sqrt(NODES * promised / PARAMETERS)), norm, ROUNDS)


def test_without_the_attackers_nodes_at_least_the_accounted_noise_is_left(exchange: Any) -> None:
    """The sum of the honest nodes alone carries z C: what the accountant counts."""
    run, _, fields = exchange
    phase, grid = run.phases[0], grid_for(run, run.phases[0]).grid
    honest = 1 if run.noise == "local" else run.quorum - run.max_colluding
    for each in fields:
        left = grid.dequantise(np.sum([each[node] for node in run.nodes[:honest]], axis=0))
        accounted = phase.noise_multiplier * phase.clip_norm
        assert float(np.sum(left**2)) / accounted**2 > chi2(PARAMETERS).ppf(FALSE_ALARM / ROUNDS)


def test_the_noise_is_gaussian(exchange: Any) -> None:
    """Kolmogorov and Smirnov against the normal distribution; the grid is 1/100 of a sigma or finer."""
    run, sums, _ = exchange
    grid, phase = grid_for(run, run.phases[0]).grid, run.phases[0]
    scale = node_std(run, phase) * math.sqrt(NODES)
    assert grid.step < scale / 100
    for total in sums:
        assert kstest(grid.dequantise(total) / scale, "norm").pvalue > FALSE_ALARM / ROUNDS


def test_nodes_and_rounds_draw_independent_noise(exchange: Any) -> None:
    """All pairs of (node, round): correlation times sqrt(P) is standard normal; Bonferroni over the pairs.

    The same with one of the two shifted by a coordinate, and within one vector, against reused streams.
    """
    _, _, fields = exchange
    vectors = np.array([each[node] for each in fields for node in each], dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    limit = norm.isf(FALSE_ALARM / 2 / (3 * len(vectors) ** 2)) / math.sqrt(PARAMETERS)
    plain = vectors @ vectors.T
    assert np.abs(plain[~np.eye(len(vectors), dtype=bool)]).max() < limit
    shifted = vectors @ np.roll(vectors, 1, axis=1).T
    assert np.abs(shifted).max() < limit
    halves = np.einsum("ij,ij->i", vectors[:, : PARAMETERS // 2], vectors[:, PARAMETERS // 2 :])
    assert np.abs(halves).max() < limit  # Box-Muller makes its two halves from one radius
    squares = vectors**2 * PARAMETERS - 1
    related = np.einsum("ij,ij->i", squares[:, : PARAMETERS // 2], squares[:, PARAMETERS // 2 :]) / (PARAMETERS / 2)
    assert np.abs(related).max() < 2 * norm.isf(FALSE_ALARM / 2 / len(vectors)) / math.sqrt(PARAMETERS / 2)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("whole", [-3000, 0, 7])
def test_rounding_to_the_grid_is_unbiased(fraction: float, whole: int) -> None:
    count, grid = 100_000, Grid(0.125)
    values = np.full(count, (whole + fraction) * grid.step)
    steps = grid.quantise(values, SeededRandom(3, fraction, whole))
    spread = math.sqrt(max(fraction * (1 - fraction), 1e-300) / count)
    if fraction == 0.0:
        assert (steps == whole).all()
    else:
        assert set(np.unique(steps)) == {whole, whole + 1}
        within((float(steps.mean()) - whole - fraction) / spread, norm, 15)


def test_the_operating_systems_stream_is_normal_and_uniform() -> None:
    """No seed to fix here: refused with probability 1e-9 by chance."""
    count, tail = 50_000, 1e-9 / 4
    source = SystemRandom()
    normal, uniform = source.normal(count), source.uniform(count)
    assert chi2(count).ppf(tail) < float(np.sum(normal**2)) < chi2(count).isf(tail)
    assert kstest(normal, "norm").pvalue > tail
    assert kstest(uniform, "uniform").pvalue > tail
    related = float(np.corrcoef(normal, source.child("other").normal(count))[0, 1])
    assert abs(related) * math.sqrt(count) < norm.isf(tail)
    assert not SystemRandom.insecure
    assert not np.array_equal(source.child("a").uint64(8), source.child("a").uint64(8))
