"""The experiment on sharper scores: its rounds are the product's, its bounds hold, its estimate is the product's."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from afml.masking.kind import masking_task
from afml.masking.networks.features import PanelStatistics
from afml.masking.shrink import sparse_weights
from afml.study.data import DataSettings, simulated
from afml.study.single import enrolled_of
from afml.training.clipping import clipped_part
from benchmarks.sharper.estimate import sparse
from benchmarks.sharper.ground import Cell, Ground
from benchmarks.sharper.mechanism import Measured, Mechanism, Strategy, _clipped, _inputs, _scaled, rounds_of
from benchmarks.sharper.theory import Sequence
from benchmarks.sharper.trial import Row
from benchmarks.sharper.variants import VARIANTS, by_blocks, components, pruned
from crypto.public.random import source

CELL = Cell(5, 0.9)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    settings = DataSettings(kind="simulated", sites=96, people=400, panel_people=150)
    return Ground(simulated(settings), settings, tmp_path_factory.mktemp("sharper"))


def test_rounds_without_noise_are_those_of_the_product(ground: Ground) -> None:
    case = ground.cases(CELL, (3,))
    run = ground.run(CELL, 3)
    task = masking_task(run, ground.data.panel, ground.data.panel_dosage)
    people = sum(run.enrolled.values())
    (phase,) = run.phases
    for number in range(phase.rounds):
        total = np.zeros(task.length(0))
        for enrolled in enrolled_of(ground.data, (case[:, 0],)).values():
            everybody = np.arange(len(enrolled))
            total += clipped_part(task, 0, phase.clip_norm, enrolled, everybody, source(1, "round", number))
        task.apply(0, total, people)
    wanted = task._steps.accumulated.weights[0] / (phase.learning_rate * phase.rounds)
    found = rounds_of(ground, Mechanism(noiseless=True), ground.planned(CELL), case[ground.training], (3,))
    np.testing.assert_allclose(found.marginal[:, 0], wanted, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("mechanism", [
    Mechanism(), Mechanism(clip_norm=0.25), Mechanism(blocks=7), Mechanism(constant=False),
], ids=["base", "short", "blocks", "no constant"])  # fmt: skip
def test_nobody_moves_a_round_by_more_than_the_clip_norm(ground: Ground, mechanism: Mechanism) -> None:
    """As the round is sent, in clip norms; people far from the panel included, and sites left out."""
    inputs, lengths = _inputs(ground, mechanism)
    far = np.vstack([inputs[:20], 30 * inputs[:20], np.eye(20, inputs.shape[1], dtype=np.float32) * 100])
    active = np.random.default_rng(0).random((ground.sites, 2)) < 0.2
    weight = _scaled(active, lengths, mechanism)
    reached = []
    for person in far:
        row, residual = person[None], np.array([[0.9, -0.5]], dtype=np.float32)
        sent = _clipped(row, row * row, residual, weight, mechanism)
        reached.append(np.linalg.norm(sent, axis=0))
        assert not sent[:-1][~active].any()
    assert np.max(reached) <= 1 + 1e-5
    assert np.max(reached) > 0.3  # it is not that nothing was sent


@pytest.mark.parametrize("make", [lambda g: components(g, 20, 0.5), lambda g: by_blocks(g, 48)])
def test_coordinates_keep_what_they_keep(ground: Ground, make) -> None:  # type: ignore[no-untyped-def]
    """Forth and back is a projection: what lies in the span comes back as it was."""
    coordinates = make(ground).coordinates
    both = coordinates.back.astype(np.float64) @ coordinates.forth.T
    np.testing.assert_allclose(both @ both, both, atol=1e-4)
    assert np.linalg.matrix_rank(both, tol=1e-3) == coordinates.forth.shape[1]
    _, lengths = _inputs(ground, make(ground))
    assert np.median(np.sqrt(lengths.sum(axis=1))) == pytest.approx(2, rel=1e-3)


def test_strategies_cost_what_the_worst_person_and_the_sum_say() -> None:
    rng = np.random.default_rng(0)
    for once in (False, True):
        for bands in (1, 2, 5, 12):
            strategy = Strategy(12, bands, once)
            matrix = np.linalg.inv(strategy.inverse)
            assert (matrix > -1e-12).all()  # what the bound on everybody's sensitivity rests on
            worst = 0.0
            for _ in range(200):
                sent = rng.standard_normal((12, 3)) + 3 * rng.random()
                sent /= np.linalg.norm(sent, axis=1, keepdims=True)
                sent *= np.eye(12)[:, [rng.integers(12)]] if once else 1
                worst = max(worst, float(np.linalg.norm(matrix @ sent)))
            assert 0.5 * strategy.sensitivity < worst <= strategy.sensitivity + 1e-9
            assert strategy.cost >= 1 - 1e-12
    assert Strategy(12).cost == pytest.approx(1)
    assert Strategy(12, 1, once=True).cost == pytest.approx(12**0.5)
    root = Strategy(12, 12).inverse
    np.testing.assert_allclose(root @ root, np.eye(12) - np.eye(12, k=-1), atol=1e-12)  # inverse of the prefix sums


def test_noise_has_the_standard_deviation_that_is_said(ground: Ground) -> None:
    """Nobody has a residual: what comes out is noise alone, under every way to spend it."""
    case = np.zeros((int(ground.training.sum()), 300), np.int8)
    phase, std = ground.planned(CELL)
    still = phase.model_copy(update={"learning_rate": 1e-30})
    quiet = Ground.__new__(Ground)
    quiet.__dict__.update(ground.__dict__ | {"inputs": np.zeros_like(ground.inputs)})
    for mechanism in (
        Mechanism(), Mechanism(focus=((5, 40), (9, 20))), Mechanism(bands=4), Mechanism(once=True),
        Mechanism(once=True, bands=20),
    ):  # fmt: skip
        found = rounds_of(quiet, mechanism, (still, std), case, range(300))
        sampling = len(case) * ground.statistics.variance / 4
        said = found.noise**2 / (ground.newton / len(case)) ** 2 - sampling
        seen = (found.marginal / (ground.newton / len(case))) ** 2
        if not mechanism.focus:
            assert (seen / said).mean() == pytest.approx(1, abs=0.03)
        else:  # 56 of 96 sites were dropped first: those nearest to 0 of what had been seen till then
            first = said.round(6) == said.round(6).max()
            assert (first.sum(axis=0) == 56).all()
            normal = NormalDist()
            cut = normal.inv_cdf(0.5 + 56 / 96 / 2)
            below = 1 - 2 * cut * normal.pdf(cut) / (56 / 96)  # E[z^2 | |z| < cut]
            assert (seen / said)[first].mean() == pytest.approx(below, abs=0.02)


def test_the_estimate_is_that_of_the_product(ground: Ground) -> None:
    marginal = np.random.default_rng(0).standard_normal(ground.sites) * 0.02
    marginal[[3, 50]] = 0.4, -0.3
    measured = Measured(marginal[:, None], np.full((ground.sites, 1), 0.05))
    wanted = sparse_weights(marginal, 0.05, ground.panel, 40)
    found = sparse(ground, measured, 0)
    assert np.flatnonzero(found).tolist() == np.flatnonzero(wanted).tolist()
    assert np.corrcoef(found, wanted)[0, 1] > 0.9999
    noisier = np.full((ground.sites, 1), 0.05)
    noisier[50] = 0.3  # below its penalty now
    without = sparse(ground, Measured(marginal[:, None], noisier), 0)
    assert without[50] == 0
    assert without[3] != 0
    noisier[50] = np.inf
    assert sparse(ground, Measured(marginal[:, None], noisier), 0)[50] == 0


def test_pruned_sites_are_not_linked_and_none_more_is_left_out(ground: Ground) -> None:
    stays = pruned(ground, 0.2)
    standard = PanelStatistics.from_panel(ground.data.panel_dosage, 0).standardise(ground.data.panel_dosage)
    square = (standard.T @ standard / len(standard)) ** 2
    np.fill_diagonal(square, 0)
    assert square[np.ix_(stays, stays)].max() <= 0.2
    assert (square[np.ix_(~stays, stays)].max(axis=1) > 0.2).all()
    assert 0 < stays.sum() < ground.sites


def test_theory_knows_that_noise_costs_and_choosing_helps() -> None:
    world = Sequence(512, 20, 1500, 2.4)
    assert world.reached() < Sequence(512, 20, 1500, 1.2).reached() < Sequence(512, 20, 1500, 1e-6).reached()
    assert world.reached(((0.5, 0), (0.5, 0))) == pytest.approx(
        world.reached(), abs=0.03
    )  # all sites twice: nothing gained
    assert world.reached(((0.4, 0), (0.6, 128))) > world.reached() + 0.05


def test_a_row_is_of_pairs() -> None:
    row = Row.of(np.array([0.9, 0.8, 1.0]), np.array([0.8, 0.7, 0.9]))
    assert row.difference == pytest.approx(0.1)
    assert row.interval == pytest.approx((0.1, 0.1))


def test_every_variant_measures_something(ground: Ground) -> None:
    case = ground.cases(CELL, (1, 2))[ground.training]
    big = [
        name for name in VARIANTS if name.startswith(("components", "blocks", "commonest", "focus", "smooth", "all"))
    ]
    for name in sorted(VARIANTS.keys() - set(big)):
        made = VARIANTS[name].mechanism(ground)
        found = rounds_of(ground, made, ground.planned(CELL, made.game_share), case, (1, 2))
        assert np.isfinite(found.marginal).all(), name
        assert (found.noise > 0).all(), name
    assert len(VARIANTS) - len(big) > 12
