"""bf16 autocast: the clip bound holds whatever the forward pass rounds, and the public game trains under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.masking import public_game
from afml.masking.game import Game, to_device
from afml.masking.lineup import DecoyPool, Lineup, LineupShape, SiteInputs, private_lineup, public_lineup
from afml.masking.losses import identification_loss
from afml.masking.networks.features import PanelStatistics
from afml.masking.private_game import PrivateGame
from afml.masking.public_game import PublicPeople, train_on_panel
from afml.masking.settings import GameSettings
from afml.training.device import autocast, device
from afml.training.step import Trainer
from crypto.public.random import source
from tests.masking.simulated import GAME_PHASE, RISK_PHASE, config, dosages, enrolled, small_task
from tests.training.tasks import clipped, folded

SITES, LINEUP, PEOPLE = 24, 4, 9
CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, there is none here")


class _Public:
    """A panel, its statistics, and what the public game is played with."""

    def __init__(self, settings: GameSettings, where: torch.device = CPU) -> None:
        panel = dosages(60, SITES, seed=1)
        statistics = PanelStatistics.from_panel(panel, 2)
        annotations = np.random.default_rng(0).random((SITES, 4), dtype=np.float32)
        pool = DecoyPool(panel, 0.01, np.random.default_rng(4), wanted=40)
        weights = np.random.default_rng(2).normal(size=SITES)
        score = statistics.standardise(pool.people) @ weights
        standard = (score - score.mean()) / score.std()
        self.people = PublicPeople(pool, SiteInputs(statistics, annotations), standard)
        self.game = Game(SITES, 4, settings, where)
        self.game.start(weights, statistics, np.asarray(score.std()))

    def lineup(self, people: int) -> Lineup:
        known = self.people
        shape = LineupShape(LINEUP, 0.01)
        return public_lineup(known.pool, known.sites, known.score, shape, people, np.random.default_rng(7))

    def train(self, *, bf16: bool) -> None:
        train_on_panel(self.game, self.people, np.random.default_rng(8), bf16=bf16)

    def identification(self) -> float:
        """Mean loss of the identifier on a fixed line-up of what the masker shows."""
        batch = to_device(self.lineup(80), self.game.device)
        with torch.no_grad():
            _, shown, _ = self.game.mask(batch)
            logits = self.game.identifier(shown, batch.candidates, batch.candidates_standard)
        return float(identification_loss(logits).mean())


def _private(where: torch.device) -> tuple[_Public, Lineup]:
    public = _Public(GameSettings(windows=8), where)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in (*public.game.block.parameters(), *public.game.identifier.parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator).to(where))
    records = dosages(PEOPLE, SITES, seed=2)
    streams = [source(3, person) for person in range(PEOPLE)]
    known, shape = public.people, LineupShape(LINEUP, 0.05)
    people = private_lineup(records, streams, known.pool, known.sites, np.ones(PEOPLE), shape)
    return public, to_device(people, where)


def _each_person_is_bounded(where: torch.device) -> None:
    for person in range(PEOPLE):
        public, people = _private(where)
        one = Lineup(**{name: tensor[person : person + 1] for name, tensor in vars(people).items()})
        bound = 0.01  # far below any gradient here, so that everybody is clipped
        with autocast(where, True):
            blocks = PrivateGame(public.game, LINEUP).rows(one)
        for rows in blocks:
            assert {g.dtype for g in folded(rows, 1)} == {torch.float64}
        total = clipped(blocks, 1, [bound / 2**0.5] * 2)
        assert 0.99 * bound < np.linalg.norm(total) <= bound


def test_a_persons_part_keeps_the_clip_bound_under_autocast() -> None:
    _each_person_is_bounded(CPU)


def _the_public_game_trains(where: torch.device) -> None:
    # The identifier against a masker that holds still: its loss has one way to go.
    settings = GameSettings(
        windows=8, steps=60, batch=32, lineup=LINEUP, learning_rate=0.02, public=("identification",)
    )
    public = _Public(settings, where)
    with torch.no_grad():
        public.game.block.masker.own.bias.fill_(0.5)  # shows most sites
        public.game.identifier.evidence.weight.zero_()  # and the identifier begins without its prior knowledge
    before = public.identification()
    public.train(bf16=True)
    assert public.identification() < 0.5 * before
    assert {p.dtype for p in public.game.identifier.parameters()} == {torch.float32}


def test_the_public_game_trains_under_autocast() -> None:
    _the_public_game_trains(CPU)


def test_both_networks_move_under_autocast_and_stay_near_those_of_float32() -> None:
    settings = GameSettings(windows=8, steps=3, batch=16, lineup=LINEUP)
    start, plain, rounded = (_Public(settings) for _ in range(3))
    plain.train(bf16=False)
    rounded.train(bf16=True)
    first, exact, near = start.game.vector(), plain.game.vector(), rounded.game.vector()
    split = sum(p.numel() for p in start.game.block.parameters())
    for part in (slice(0, split), slice(split, None)):
        moved = np.linalg.norm(exact[part] - first[part])
        assert 0 < np.linalg.norm(near[part] - exact[part]) < 0.7 * moved


@pytest.mark.parametrize("at_most", [1, 3, 8, 100])
def test_micro_batches_of_the_public_game_have_the_gradient_of_the_batch(
    at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = GameSettings(windows=8, steps=1, batch=8, lineup=LINEUP)
    whole = _Public(settings).lineup(8)

    def gradients(at_once: int) -> list[torch.Tensor]:
        public, given = _Public(settings), 0

        def following(*asked: object) -> Lineup:
            nonlocal given
            batch = asked[4]
            assert isinstance(batch, int)
            given += batch
            return Lineup(**{name: tensor[given - batch : given] for name, tensor in vars(whole).items()})

        monkeypatch.setattr(public_game, "public_lineup", following)
        monkeypatch.setattr(public_game, "_PUBLIC_GENOTYPES", at_once * SITES * (LINEUP + 1))
        public.train(bf16=False)
        assert given == 8
        found = [p.grad for p in (*public.game.block.parameters(), *public.game.identifier.parameters())]
        return [one for one in found if one is not None]

    for got, want in zip(gradients(at_most), gradients(8), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


@needs_cuda
def test_a_persons_part_keeps_the_clip_bound_under_autocast_on_cuda() -> None:
    _each_person_is_bounded(device())


@needs_cuda
def test_the_public_game_trains_under_autocast_on_cuda() -> None:
    _the_public_game_trains(device())


@needs_cuda
def test_clipped_sums_on_cuda_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    people, sums = enrolled(SITES, 12)[1], []
    # Without public steps both devices begin at the same parameters.
    run = config(SITES, 12, game=GameSettings(steps=0, private_lineup=3, windows=8))
    for available in (True, False):
        with monkeypatch.context() as patched:
            if not available:
                patched.setattr(torch.cuda, "is_available", lambda: False)
            task = small_task(run, panel_people=40)
            task.load_public(task.train_public())
            trainer = Trainer(run, task, people)
            sums.append([trainer.clipped_sum(phase, np.arange(12), source(1)) for phase in (RISK_PHASE, GAME_PHASE)])
    for on_cuda, on_cpu in zip(*sums, strict=True):
        np.testing.assert_allclose(on_cuda, on_cpu, rtol=1e-3, atol=1e-4)
