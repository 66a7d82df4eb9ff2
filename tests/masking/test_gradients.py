"""Opacus' gradient of every network equals one-person-at-a-time autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from afml.masking.game import Game
from afml.masking.lineup import DecoyPool, Lineup, LineupShape, SiteInputs, private_lineup
from afml.masking.losses import identification_loss
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.identifier import IdentificationNetwork
from afml.masking.networks.layers import SiteAffine
from afml.masking.networks.masker import MaskingNetwork
from afml.masking.networks.risk import RiskModel
from afml.masking.private_game import PrivateGame, micro_batch
from afml.masking.public_game import ramp
from afml.masking.risk import Kind, risk_gradients, risk_loss
from afml.masking.settings import GameSettings
from afml.training.clipping import ClippedSum, RowGradients, flatten, unflatten
from crypto.public.random import source
from tests.masking.simulated import dosages
from tests.training.tasks import Loss, clipped, folded, of_module

SITES, LINEUP = 21, 3


def _randomise(module: nn.Module) -> nn.Module:
    """Non-zero, double-precision parameters: zeros would hide errors."""
    generator = torch.Generator().manual_seed(1)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def _cases(people: int) -> dict[str, tuple[nn.Module, Loss, int]]:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    flat, channels = normal(people, SITES), normal(people, 6, SITES)
    record, candidates, standard = (
        normal(people, SITES),
        normal(people, LINEUP, SITES),
        normal(people, LINEUP, SITES),
    )
    return {
        "risk": (RiskModel(SITES - 1), lambda m, p: torch.sigmoid(m(flat[p])).pow(2), 1),
        "site affine": (
            SiteAffine(SITES, weight=1.0, bias=0.0),
            lambda m, p: m(flat[p]).pow(3).sum(dim=1),
            1,
        ),
        "masker": (MaskingNetwork(SITES, 4), lambda m, p: torch.sigmoid(m(channels[p])).sum(dim=1), 1),
        "masker without context": (
            MaskingNetwork(SITES, 4, context=0),
            lambda m, p: torch.sigmoid(m(channels[p])).sum(dim=1),
            1,
        ),
        "identifier (LSTM, several rows a person)": (
            IdentificationNetwork(SITES, window=8, hidden=5),
            lambda m, p: identification_loss(m(record[p], candidates[p], standard[p])),
            LINEUP,
        ),
        "identifier of pairs": (
            IdentificationNetwork(SITES, window=8, hidden=5),
            lambda m, p: identification_loss(m(record[p], candidates[p], standard[p]), "pairs"),
            LINEUP,
        ),
    }


def _by_autograd(module: nn.Module, loss: Loss, people: int) -> list[torch.Tensor]:
    rows = []
    for person in range(people):
        module.zero_grad()
        loss(module, slice(person, person + 1)).sum().backward()
        rows.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    return [torch.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("kinds", [("binary",), ("binary", "quantitative", "binary")])
def test_gradients_of_the_risk_model_are_those_of_its_module(kinds: tuple[Kind, ...]) -> None:
    rng = np.random.default_rng(3)
    model, inputs = RiskModel(SITES - 1, len(kinds)), torch.from_numpy(rng.normal(size=(7, SITES)).astype(np.float32))
    unflatten(model, 0.3 * rng.normal(size=SITES * len(kinds)))
    values = [rng.integers(0, 2, 7) if kind == "binary" else rng.normal(size=7) for kind in kinds]
    phenotype = np.stack(values, axis=1).astype(np.float64) if len(kinds) > 1 else values[0].astype(np.int8)
    factors = risk_gradients(model, inputs, phenotype, kinds)
    gradients = RowGradients(model)
    gradients.backward(risk_loss(gradients.hooked(inputs), phenotype, kinds))
    (wanted,) = gradients.rows().gradients
    torch.testing.assert_close(factors.dense(), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("people", [1, 2, 7])
@pytest.mark.parametrize("name", _cases(1))
def test_per_person_gradients_are_those_of_autograd(name: str, people: int) -> None:
    module, loss, rows = _cases(people)[name]
    expected = _by_autograd(_randomise(module), loss, people)
    gradients = RowGradients(module, rows)
    gradients.backward(loss(gradients.hooked, slice(0, people)).sum())
    for got, want in zip(folded(gradients.rows(), people), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", _cases(1))
def test_the_clipped_sum_is_the_slow_one(name: str) -> None:
    people, bound = 6, 0.05
    module, loss, rows = _cases(people)[name]
    expected = torch.cat([g.flatten(1) for g in _by_autograd(_randomise(module), loss, people)], dim=1)
    short = expected * (bound / expected.norm(dim=1, keepdim=True)).clamp(max=1.0)
    total = of_module(module, loss, rows, at_once=4).part(bound, people)  # two micro-batches
    np.testing.assert_allclose(total, short.sum(dim=0).numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", _cases(1))
def test_nobody_gives_zeros(name: str) -> None:
    module, loss, rows = _cases(1)[name]
    total = of_module(module, loss, rows).part(1.0, 0)
    assert total.shape == flatten(module).shape
    assert not total.any()


def test_a_person_without_finite_gradient_contributes_nothing() -> None:
    gradients, total = RowGradients(RiskModel(2)), ClippedSum(1.0)
    features = torch.tensor([[1.0, 0.0, 1.0], [float("inf"), 0.0, 1.0]])
    gradients.backward((gradients.hooked(features) * torch.tensor([1.0, 1.0])).sum())
    total.add(gradients.rows(), 2)
    np.testing.assert_allclose(total.total(), np.array([1.0, 0.0, 1.0]) / 2**0.5, rtol=1e-4)


def test_a_networks_flat_parameters_can_be_written_back() -> None:
    first, second = MaskingNetwork(SITES, 4), _randomise(MaskingNetwork(SITES, 4)).float()
    unflatten(first, flatten(second))
    assert np.array_equal(flatten(first), flatten(second))


#: Settings of the game that change what private rounds compute.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no context": {"context_scores": 0},
    "seven scores": {"context_scores": 7},
    "pairs": {"identification": "pairs"},
    "pairs, printed": {"identification": "pairs", "objective": "printed"},
    "pairs, confusion": {"identification": "pairs", "objective": "confusion"},
    "masking alone": {"private": ("masking",)},
    "identification alone": {"private": ("identification",)},
    "pairs without context, masking alone": {
        "identification": "pairs", "context_scores": 0, "private": ("masking",), "objective": "confusion",
    },
}  # fmt: skip


def _game_and_people(people: int, **changes: Any) -> tuple[Game, Callable[[list[int]], Lineup]]:
    panel, records = dosages(30, SITES, seed=1), dosages(people, SITES, seed=2)
    annotations = np.random.default_rng(0).random((SITES, 4), dtype=np.float32)
    sites = SiteInputs(PanelStatistics.from_panel(panel, 2), annotations)
    settings = GameSettings(windows=8, **changes)
    pool = DecoyPool(panel, settings.genotype_error, np.random.default_rng(4), wanted=0)
    game = Game(SITES, 4, settings, torch.device("cpu"))
    _randomise(game.block)
    _randomise(game.identifier)

    def lineup(who: list[int]) -> Lineup:
        streams = [source(3, person) for person in who]
        batch = private_lineup(records[who], streams, pool, sites, np.ones(len(who)), LineupShape(LINEUP, 0.05))
        return Lineup(**{name: tensor.double() for name, tensor in vars(batch).items()})

    return game, lineup


def _blocks_by_autograd(game: Game, batch: Lineup) -> dict[str, torch.Tensor]:
    """One person's gradient of each block's own loss, flat."""
    mask, shown, decoded = game.mask(batch)
    logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
    masking = game.losses(batch, mask, decoded, logits, game.settings.adversary_weight).sum()
    identification = identification_loss(logits, game.settings.identification).sum()
    block = torch.autograd.grad(masking, list(game.block.parameters()), retain_graph=True)
    other = torch.autograd.grad(identification, list(game.identifier.parameters()))
    gradients = {"masking": block, "identification": other}
    return {loss: torch.cat([part.flatten() for part in parts]) for loss, parts in gradients.items()}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_game_gradient_is_that_of_autograd_and_each_private_block_is_clipped(changes: dict[str, Any]) -> None:
    people, bound = 4, 0.3
    game, lineup = _game_and_people(people, **changes)
    trained = [loss for loss in ("masking", "identification") if loss in game.settings.private]
    slow = [_blocks_by_autograd(game, lineup([person])) for person in range(people)]
    limit = bound / len(trained) ** 0.5
    expected = sum(
        torch.cat([p[loss] * min(1.0, limit / float(p[loss].norm())) for loss in trained]).numpy() for p in slow
    )
    private = PrivateGame(game, LINEUP)
    blocks = private.rows(lineup(list(range(people))))
    assert list(private.gradients) == trained
    for loss, rows in zip(trained, blocks, strict=True):
        got = torch.cat([gradient.flatten(1) for gradient in folded(rows, people)], dim=1)
        torch.testing.assert_close(got, torch.stack([p[loss] for p in slow]), rtol=1e-6, atol=1e-9)
    whole = clipped(blocks, people, [limit] * len(trained))
    np.testing.assert_allclose(whole, expected, rtol=1e-3, atol=1e-5)
    assert len(whole) == game.lengths.update == len(game.vector()[game.lengths.private])
    parts = [ClippedSum(limit) for _ in trained]
    for who in ([0, 1, 2], [3]):
        for total, rows in zip(parts, private.rows(lineup(who)), strict=True):
            total.add(rows, len(who))
    np.testing.assert_allclose(np.concatenate([total.total() for total in parts]), whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_one_person_moves_the_joint_vector_by_the_clip_norm_and_no_more(changes: dict[str, Any]) -> None:
    game, lineup = _game_and_people(1, **changes)
    blocks = PrivateGame(game, LINEUP).rows(lineup([0]))
    total = clipped(blocks, 1, [0.01 / len(blocks) ** 0.5] * len(blocks))
    assert 0.0099 < np.linalg.norm(total) <= 0.01


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_other_people_do_not_change_a_persons_gradient(changes: dict[str, Any]) -> None:
    game, lineup = _game_and_people(5, **changes)
    alone = [row for rows in PrivateGame(game, LINEUP).rows(lineup([2])) for row in folded(rows, 1)]
    game, lineup = _game_and_people(5, **changes)
    together = [row for rows in PrivateGame(game, LINEUP).rows(lineup([0, 4, 2, 1])) for row in folded(rows, 4)]
    for one, many in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], many[2], rtol=1e-6, atol=1e-9)


def test_schedule_and_micro_batches() -> None:
    assert ramp(0, 100) == 0.0
    assert ramp(100, 100) == 1.0
    assert micro_batch(10**9, 16) == 1
