"""bf16 autocast: the clip bound holds whatever the forward pass rounds, and the public game trains under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afml.core.run import GameSettings
from afml.models.features import PanelStatistics
from afml.training import game as game_module
from afml.training.clipping import PersonGradients
from afml.training.device import autocast, device
from afml.training.game import Game, PrivateGame, to_device, train_on_panel
from afml.training.lineup import DecoyPool, Lineup, private_lineup, public_lineup
from afml.training.losses import identification_loss
from afml.training.program import Program
from crypto.public.random import source
from tests.training.simulated import cohorts, config, dosages, sites_panel

SITES, LINEUP, PEOPLE = 24, 4, 9
CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, there is none here")


class _Public:
    """A panel, its statistics, and what the public game is played with."""

    def __init__(self, settings: GameSettings, where: torch.device = CPU) -> None:
        panel = dosages(60, SITES, seed=1)
        self.statistics = PanelStatistics.from_panel(panel, 2)
        self.annotations = np.random.default_rng(0).random((SITES, 4), dtype=np.float32)
        self.pool = DecoyPool(panel, 0.01, np.random.default_rng(4), wanted=40)
        weights = np.random.default_rng(2).normal(size=SITES)
        score = self.statistics.standardise(self.pool.people) @ weights
        self.score = (score - score.mean()) / score.std()
        self.game = Game(SITES, 4, settings, where)
        self.game.start(weights, self.statistics, np.asarray(score.std()))

    def lineup(self, people: int) -> Lineup:
        return public_lineup(
            self.pool, self.statistics, self.annotations, self.score, batch=people, lineup=LINEUP, error=0.01,
            rng=np.random.default_rng(7),
        )  # fmt: skip

    def train(self, *, bf16: bool) -> None:
        rng = np.random.default_rng(8)
        train_on_panel(self.game, self.pool, self.statistics, self.annotations, self.score, rng, bf16=bf16)

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
    people = private_lineup(
        records, streams, public.pool, public.statistics, public.annotations, np.ones(PEOPLE), lineup=LINEUP, error=0.05
    )
    return public, to_device(people, where)


def _each_person_is_bounded(where: torch.device) -> None:
    for person in range(PEOPLE):
        public, people = _private(where)
        one = Lineup(**{name: tensor[person : person + 1] for name, tensor in vars(people).items()})
        bound = 0.01  # far below any gradient here, so that everybody is clipped
        private = PrivateGame(public.game, bound, LINEUP)
        with autocast(where, True):
            private.backward(one)
        for gradients in private.gradients.values():
            assert {g.dtype for g in gradients.per_person()} == {torch.float64}
            gradients.clip()
        assert 0.99 * bound < np.linalg.norm(private.total()) <= bound


def test_a_persons_part_keeps_the_clip_bound_under_autocast() -> None:
    _each_person_is_bounded(CPU)


def test_autocast_leaves_gradients_whose_own_norm_would_pass_the_bound() -> None:
    """Why norms are taken in float64: Opacus' bf16 gradient of a layer, clipped in bf16, is too long."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 64, bias=False)
    gradients = PersonGradients(layer, 1.0)
    with autocast(CPU, True):
        loss = gradients.hooked(torch.randn(50, 64)).float().pow(2).sum()
    gradients.backward(loss)
    rows = layer.weight.grad_sample.flatten(1)  # type: ignore[operator]
    assert rows.dtype == torch.bfloat16
    carelessly = rows * (1.0 / rows.norm(dim=1, keepdim=True))
    assert float(carelessly.double().norm(dim=1).max()) > 1.001
    [careful] = gradients.per_person()
    clipped = careful.flatten(1) * ((1 - 1e-9) / careful.flatten(1).norm(dim=1, keepdim=True))
    assert float(clipped.norm(dim=1).max()) <= 1.0


def test_without_autocast_nothing_changes() -> None:
    with autocast(CPU, False):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32
    with autocast(CPU, True):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16


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

        def following(*_: object, batch: int, **__: object) -> Lineup:
            nonlocal given
            given += batch
            return Lineup(**{name: tensor[given - batch : given] for name, tensor in vars(whole).items()})

        monkeypatch.setattr(game_module, "public_lineup", following)
        monkeypatch.setattr(game_module, "_PUBLIC_GENOTYPES", at_once * SITES * (LINEUP + 1))
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
    cohort, sums = cohorts(SITES, 12)[1], []
    # Without public steps both devices begin at the same parameters.
    settings = config(SITES, 12, game=GameSettings(steps=0, private_lineup=3, windows=8))
    for available in (True, False):
        with monkeypatch.context() as patched:
            if not available:
                patched.setattr(torch.cuda, "is_available", lambda: False)
            program = Program(settings, sites_panel(SITES), dosages(40, SITES, seed=0))  # type: ignore[arg-type]
            program.load_public(program.train_public())
            sums.append([program.clipped_sum(phase, cohort, np.arange(12), source(1)) for phase in (0, 1)])
    for on_cuda, on_cpu in zip(*sums, strict=True):
        np.testing.assert_allclose(on_cuda, on_cpu, rtol=1e-3, atol=1e-4)
