from __future__ import annotations

import functools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from afml.consortium.run import Budget, Phase, RunConfig
from afml.consortium.scheme import run_params
from afml.core.errors import ConfigError
from afml.privacy import noise
from afml.privacy.accountant import profile
from afml.privacy.events import Gaussian, SubsampledGaussian
from afml.privacy.plan import PhaseShare, calibrated, planned_events
from afml.privacy.ple import ple
from afml.training.planning import Rounds, Terms, one_phase
from crypto.public.payload import total_size, upload_size
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


def test_the_grid_is_fine_enough_with_the_fewest_bits_and_the_same_everywhere() -> None:
    run = noise.with_fewest_bits(config())
    choice, std = noise.grid_for(run, phase()), noise.node_std(run, phase())
    assert choice.grid.step * 4 <= std < choice.grid.step * 4 * 2
    assert 0 <= choice.added_delta < 1e-20
    assert choice.edge == 7 * 2 ** (run.bits - 1) // 8
    with pytest.raises(ConfigError, match="use bits"):
        noise.grid_for(run.model_copy(update={"bits": run.bits - 1}), phase())


def test_a_coordinate_that_wraps_comes_back_below_the_edge_next_to_never() -> None:
    """It has to jump the outer part of the range at both ends: the figures of docs/design/bits.md."""
    for coordinates, least in ((1, 3e-11), (10**6, 1e-14)):
        jump = noise._sigmas(coordinates) * (2 - noise.EDGE) / noise.EDGE
        assert 2 * coordinates * math.exp(-(jump**2) / 2) < least


def test_an_undeclared_length_counts_as_a_long_one() -> None:
    unknown, long, short = (phase().model_copy(update={"parameters": count}) for count in (0, 10_000_000, 1))
    counts = [noise._coordinates(config(phases=(one,))) for one in (unknown, long, short)]
    assert counts[0] == counts[1] == 10_000_000 * counts[2]


@pytest.mark.parametrize("parameters", [1, 100, 1500])
def test_everybody_aligned_stays_within_the_edge(parameters: int) -> None:
    """All nodes' people push the same way, along one coordinate, all of them, or any: over many rounds' rotations."""
    part = phase(rounds=50).model_copy(update={"parameters": parameters})
    run = noise.with_fewest_bits(config(phases=(part,)))
    choice, rng, largest = noise.grid_for(run, part), np.random.default_rng(parameters), 0
    everybody = sum(run.enrolled.values()) * part.clip_norm
    directions = (np.eye(1, parameters)[0], np.ones(parameters), rng.normal(size=parameters))
    for number in range(1, 51):
        grid = noise.round_grid(run, number)
        aligned = directions[number % 3] / np.linalg.norm(directions[number % 3]) * everybody
        total = np.zeros(parameters, np.int64)
        for node in run.nodes:
            own = noise.node_std(run, part) * rng.normal(size=parameters)
            own += aligned * run.enrolled[node] / sum(run.enrolled.values())
            total += grid.quantise(own, SeededRandom(number))
        largest = max(largest, int(np.abs(total).max()))
        assert np.linalg.norm(grid.dequantise(total) - aligned) < 8 * part.noise_multiplier * 2 * math.sqrt(parameters)
    assert choice.edge / 10 < largest < choice.edge


def test_every_round_turns_otherwise_and_every_attempt_alike() -> None:
    run = config()
    first, again, second = (noise.round_grid(run, number) for number in (1, 1, 2))
    assert first == again != second
    assert first.rotation != noise.round_grid(config(people=301), 1).rotation
    assert first.step == second.step == noise.grid_for(run, phase()).grid.step


def test_the_largest_batch_is_larger_than_any_that_is_drawn() -> None:
    run, rng = config(), np.random.default_rng(1)
    everybody = sum(run.enrolled.values())
    assert noise._largest_batch(run, phase()) == everybody
    for rate in (0.001, 0.1, 0.9):
        bound = noise._largest_batch(run, phase(rate=rate))
        assert everybody * rate < bound <= everybody
        assert rng.binomial(everybody, rate, 100_000).max() < bound


def test_bits_that_are_too_few_are_refused_with_those_that_do() -> None:
    run = config(people=100_000, bits=12)
    with pytest.raises(ConfigError, match=r"use bits = (\d+)") as caught:
        noise.grid_for(run, phase())
    bits = int(str(caught.value).split("bits = ")[1].split(",")[0])
    noise.grid_for(config(people=100_000, bits=bits), phase())
    with pytest.raises(ConfigError):
        noise.grid_for(config(people=100_000, bits=bits - 1), phase())
    # In local mode rounding comes after the full noise: any grid that holds a sum will do.
    assert noise.grid_for(config(people=100_000, bits=12, noise="local"), phase()).added_delta == 0.0
    with pytest.raises(ConfigError, match="use bits"):
        noise.grid_for(config(bits=2, noise="local"), phase())


@settings(max_examples=30, deadline=None)
@given(
    people=st.integers(1, 10**6), nodes=st.integers(3, 64), parameters=st.integers(1, 10**8),
    z=st.floats(0.3, 50.0), rate=st.floats(1e-3, 1.0), mode=st.sampled_from(("distributed", "local")),
)  # fmt: skip
def test_no_cohort_is_refused_for_bits(
    people: int, nodes: int, parameters: int, z: float, rate: float, mode: str
) -> None:
    part = phase(z, rate).model_copy(update={"parameters": parameters})
    enrolled = dict.fromkeys(range(1, nodes + 1), people)
    run = noise.with_fewest_bits(config(enrolled=enrolled, quorum=nodes, noise=mode, phases=(part,)))
    assert noise.grid_for(run, part).grid.step * 4 <= noise.node_std(run, part) * (1 + 1e-9)
    assert run_params(run).field_bits == run.bits


COHORTS = ((5, 400, 0.9), (5, 20_000, 0.9), (5, 100_000, 0.2), (16, 400, 0.9), (64, 400, 0.9), (64, 20_000, 0.9))


@functools.cache
def usual(ple_sigma: float) -> Phase:
    """What a coordinator plans who says nothing else."""
    (part,) = one_phase(Rounds(rounds=20), Terms(ple_sigma=ple_sigma), 1).phases
    return part


def documented_row(nodes: int, people: int, ple_sigma: float, parameters: int) -> str:
    part = usual(ple_sigma).model_copy(update={"parameters": parameters})
    enrolled = dict.fromkeys(range(1, nodes + 1), people)
    run = noise.with_fewest_bits(config(enrolled=enrolled, quorum=nodes, phases=(part,)))
    row = run_params(run)
    up, down = (size * row.chunks(parameters) / parameters for size in (upload_size(row), total_size(row, nodes)))
    return f"| {nodes} x {people:,}, {ple_sigma:g} | {parameters:,} | {run.bits} | {up:.2f}, {down:.2f} |"


def test_the_documented_bits_are_what_runs_get() -> None:
    text = (Path(__file__).parents[2] / "docs" / "design" / "bits.md").read_text()
    rows = [documented_row(*cohort, parameters) for parameters in (1_000_000, 100_000) for cohort in COHORTS]
    rows.append(documented_row(5, 400, 0.9, 2_048))
    assert [line for line in text.splitlines() if re.match(r"\| \d+ x ", line)] == rows


def test_events_of_rounds() -> None:
    assert noise.round_event(config(), phase()) == Gaussian(5.0)
    assert noise.broken_event(config(), phase()) == Gaussian(2.5)


@pytest.mark.parametrize("m", [2, 3])
def test_somebody_at_several_nodes_is_covered_by_noise_for_so_many(m: int) -> None:
    """Full batches: the sum moves by m C and carries z m C; m separate updates move by C each over z sqrt(m) C."""
    run = config(quorum=4, max_colluding=1, enrolments_per_person=m)
    std = noise.node_std(run, phase())
    assert math.sqrt(3) * std / (m * 2.0) == pytest.approx(5.0)
    local = config(noise="local", enrolments_per_person=m)
    assert noise.node_std(local, phase()) == pytest.approx(5.0 * 2.0 * math.sqrt(m))
    for each in (run, local):
        assert ple([noise.round_event(each, phase())], 1e-5).sigma == pytest.approx(1 / 5.0)
    # The others' updates read too: m of them, each with one node's noise.
    assert ple([noise.broken_event(run, phase())], 1e-5).sigma == pytest.approx(math.sqrt(m) * 2.0 / std)
    assert ple([noise.broken_event(local, phase())], 1e-5).sigma == pytest.approx(1 / 5.0)


@settings(max_examples=10, deadline=None)
@given(m=st.integers(2, 5), rate=st.floats(0.05, 0.9), z=st.floats(0.8, 6.0))
def test_batches_of_several_nodes_are_counted_as_what_they_are(m: int, rate: float, z: float) -> None:
    """The sum of m independently drawn contributions is never more telling than the m events that are counted.

    The sum's noise is (z m)^2 = m (z sqrt(m))^2 and a person is in Bin(m, q) of the batches; its hockey-stick
    divergence is computed directly, from the mixture of Gaussians.
    """
    run = config(enrolments_per_person=m)
    event = noise.round_event(run, phase(z, rate))
    assert isinstance(event, SubsampledGaussian)
    assert (event.steps, event.noise_multiplier) == (m, pytest.approx(z * math.sqrt(m)))
    std = z * m
    x = np.linspace(-12 * std, 12 * std + m, 40_001)
    without = np.exp(-0.5 * (x / std) ** 2) / (std * math.sqrt(2 * math.pi))
    with_person = sum(
        math.comb(m, k) * rate**k * (1 - rate) ** (m - k) * np.exp(-0.5 * ((x - k) / std) ** 2)
        for k in range(m + 1)
    ) / (std * math.sqrt(2 * math.pi))  # fmt: skip
    counted = profile([event], 1e-5)
    for eps in (0.0, 0.1, 0.5):
        for p, q in ((with_person, without), (without, with_person)):
            seen = float(np.trapezoid(np.maximum(p - math.exp(eps) * q, 0.0), x))
            assert seen <= float(counted.delta(eps)) + 1e-6


def test_a_plan_for_several_enrolments_meets_its_target() -> None:
    shares = [PhaseShare("risk", 4, 1.0, 0.8), PhaseShare("game", 10, 0.2, 0.2)]
    zs = calibrated(shares, ple_sigma=0.9, delta=1e-5, reserve=1, enrolments=3)
    run = config(
        enrolments_per_person=3,
        phases=tuple(phase(z, s.sample_rate, s.rounds) for z, s in zip(zs, shares, strict=True)),
    )
    assert 0.89 < ple(planned_events(run), 1e-5).sigma <= 0.9 * (1 + 1e-9)
    full = [PhaseShare("risk", 4, 1.0)]  # the same z, of m times the sensitivity
    (several,), (one,) = (calibrated(full, ple_sigma=0.9, delta=1e-5, reserve=1, enrolments=m) for m in (3, 1))
    assert several == pytest.approx(one, rel=1e-4)
