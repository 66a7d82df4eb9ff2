"""Rounds with exact noise: what float64 may add to one person's change, who is drawn, what leaves."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chi2

from afml.audit.rounds import nobody
from afml.masking.kind import train_masking
from afml.privacy.noise import UNIT, node_std, round_grid, sensitivity, slack
from afml.training.clipping import ClippedSum
from afml.training.step import NodeUpdate, Trainer
from afml.training.task import Rows
from crypto.public.random import SeededRandom, source
from crypto.public.rotation import Rotation
from tests.masking.simulated import config, dosages, enrolled, sites_panel, small_task

SITES, PEOPLE = 24, 30


def summed(gradients: NDArray[np.float32], people: list[int], at_once: int, clip_norm: float) -> NDArray[np.float64]:
    """The clipped sum of some people in an order, so many at once."""
    total = ClippedSum(clip_norm)
    for start in range(0, len(people), at_once):
        some = people[start : start + at_once]
        total.add(Rows([torch.from_numpy(gradients[some])], 1), len(some))
    return total.total()


@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_additions_makes_a_person_count_for_more_than_the_noise_is_made_for(seed: int) -> None:
    """With and without the person, in other orders and pieces, turned: exact differences of what float64 gave."""
    rng = np.random.default_rng(seed)
    run = config(SITES, 40, exact_noise=True)
    phase = run.phases[0].model_copy(update={"parameters": 96})
    clip_norm, rotation = phase.clip_norm, Rotation(bytes([seed]))
    scale = 10.0 ** rng.uniform(-3, 6, size=(40, 1))
    gradients = (scale * rng.normal(size=(40, 96))).astype(np.float32)
    gradients[1::2] = -gradients[::2] * np.float32(1 + 1e-6)  # much cancels
    everybody = list(rng.permutation(40))
    others = [int(person) for person in rng.permutation(40) if person != 7]
    sums = summed(gradients, everybody, int(rng.integers(1, 41)), clip_norm), summed(gradients, others, 5, clip_norm)
    turned = [rotation.turn(one) for one in sums]
    moved = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(turned[0].tolist(), turned[1].tolist(), strict=True))
    assert moved <= Fraction(sensitivity(run, phase)) ** 2
    alone = rotation.turn(summed(gradients, [7], 1, clip_norm))
    lost = math.sqrt(sum((a - b - c) ** 2 for a, b, c in zip(turned[0], turned[1], alone, strict=True)))
    assert 0 < lost < slack(run, phase) * clip_norm / 10, "float64 does lose something, and less than is allowed for"


class _Draws:
    """A stream of chosen uniforms."""

    def __init__(self, uniforms: list[float]) -> None:
        self._uniforms = np.array(uniforms)

    def child(self, *labels: object) -> Any:
        return self

    def uniform(self, count: int) -> NDArray[np.float64]:
        return self._uniforms[:count]


@pytest.mark.parametrize("rate", [0.1, 0.3, 1e-6, 0.5, 1.0])
def test_nobody_is_drawn_with_more_than_the_accounted_rate(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2^53 equally likely draws those are in that are wholly below the rate."""
    run = config(SITES, PEOPLE)
    phases = (run.phases[0].model_copy(update={"sample_rate": rate}), *run.phases[1:])
    task, seen = small_task(run), []
    monkeypatch.setattr(Trainer, "clipped_sum", lambda self, phase, batch, stream: seen.append(batch) or np.zeros(1))
    most = math.floor(Fraction(rate) * 2**53)  # so many draws are in
    draws = [UNIT * (most - 1), UNIT * min(most, 2**53 - 1), *[1 - UNIT] * 28]
    trainer = Trainer(run.model_copy(update={"phases": phases}), task, enrolled(SITES, PEOPLE)[1])
    trainer.batch_sum(0, _Draws(draws))
    assert seen[0].tolist() == (list(range(30)) if rate == 1.0 else [0])


def test_what_leaves_is_noised_while_it_is_rounded() -> None:
    run = config(SITES, PEOPLE, exact_noise=True)
    task, people = small_task(run), enrolled(SITES, PEOPLE)[1]
    update, grid = Trainer(run, task, people).update(1, 1), round_grid(run, 1)
    stream = source(run.seed, "node", 1, "round", 1)
    std = node_std(run, run.phases[0])
    assert (update.values == Trainer(run, task, people).batch_sum(0, stream)).all()
    assert update.exact_std == std
    again = grid.noised(update.values, std, stream.child("rounding"))
    assert (update.rounded(grid) == again).all()
    bare = NodeUpdate(update.values, stream.child("rounding")).rounded(grid)
    noise = (update.rounded(grid) - bare) * grid.step / std
    assert chi2(len(noise)).ppf(1e-6) < float((noise**2).sum()) < chi2(len(noise)).isf(1e-6)


def test_a_node_without_people_sends_noise_alone() -> None:
    run = config(SITES, PEOPLE, exact_noise=True, seed=None)
    trainer = Trainer(run, small_task(run), nobody(SITES))
    first, second = (trainer.update(1, 1) for _ in range(2))
    assert not first.values.any()
    grid = round_grid(run, 1)
    assert np.count_nonzero(first.rounded(grid)) > SITES / 2
    assert not np.array_equal(first.rounded(grid), second.rounded(grid))


def test_nodes_end_with_the_same_bits_and_not_those_of_float64() -> None:
    run, panel, people = config(SITES, PEOPLE, exact_noise=True), dosages(60, SITES, seed=0), enrolled(SITES, PEOPLE)
    models = [train_masking(run, sites_panel(SITES), panel, people).digest() for _ in range(2)]
    plain = train_masking(config(SITES, PEOPLE), sites_panel(SITES), panel, people).digest()
    assert models[0] == models[1] != plain


def test_the_decrypted_noise_has_the_promised_variance() -> None:
    """Of three nodes' sums as they leave, with what rounding adds; refused with probability 1e-6."""
    run = config(SITES, PEOPLE, exact_noise=True)
    grid, std, count = round_grid(run, 1), node_std(run, run.phases[0]), 30_000
    total = sum(grid.noised(np.zeros(count), std, SeededRandom(5, node)) for node in run.nodes)
    variance = len(run.nodes) * ((std / grid.step) ** 2 + 1 / 6)
    statistic = float((np.asarray(total, np.float64) ** 2).sum()) / variance
    assert chi2(count).ppf(5e-7) < statistic < chi2(count).isf(5e-7)
