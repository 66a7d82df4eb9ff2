"""Opacus' gradient of every network equals one-person-at-a-time autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from afml.core.run import GameSettings
from afml.models.features import PanelStatistics
from afml.models.identifier import IdentificationNetwork
from afml.models.layers import SiteAffine
from afml.models.masker import MaskingNetwork
from afml.models.risk import RiskModel
from afml.training.clipping import PersonGradients, flatten, unflatten
from afml.training.game import Game, PrivateGame, micro_batch, ramp
from afml.training.lineup import DecoyPool, Lineup, private_lineup
from afml.training.losses import identification_loss
from crypto.public.random import source
from tests.training.simulated import dosages

SITES, LINEUP = 21, 3
Loss = Callable[[nn.Module, slice], torch.Tensor]


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


@pytest.mark.parametrize("people", [1, 2, 7])
@pytest.mark.parametrize("name", _cases(1))
def test_per_person_gradients_are_those_of_autograd(name: str, people: int) -> None:
    module, loss, rows = _cases(people)[name]
    expected = _by_autograd(_randomise(module), loss, people)
    gradients = PersonGradients(module, 1.0, rows_per_person=rows)
    gradients.backward(loss(gradients.hooked, slice(0, people)).sum())
    for got, want in zip(gradients.per_person(), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", _cases(1))
def test_the_clipped_sum_is_the_slow_one(name: str) -> None:
    people, bound = 6, 0.05
    module, loss, rows = _cases(people)[name]
    expected = torch.cat([g.flatten(1) for g in _by_autograd(_randomise(module), loss, people)], dim=1)
    clipped = expected * (bound / expected.norm(dim=1, keepdim=True)).clamp(max=1.0)
    gradients = PersonGradients(module, bound, rows_per_person=rows)
    for part in (slice(0, 2), slice(2, 6)):  # two micro-batches
        gradients.backward(loss(gradients.hooked, part).sum())
        gradients.clip()
    np.testing.assert_allclose(gradients.total(), clipped.sum(dim=0).numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", _cases(1))
def test_nobody_gives_zeros(name: str) -> None:
    module, _, rows = _cases(1)[name]
    total = PersonGradients(module, 1.0, rows_per_person=rows).total()
    assert total.shape == flatten(module).shape
    assert not total.any()


def test_a_person_without_finite_gradient_contributes_nothing() -> None:
    gradients = PersonGradients(RiskModel(2), 1.0)
    features = torch.tensor([[1.0, 0.0, 1.0], [float("inf"), 0.0, 1.0]])
    gradients.backward((gradients.hooked(features) * torch.tensor([1.0, 1.0])).sum())
    gradients.clip()
    np.testing.assert_allclose(gradients.total(), np.array([1.0, 0.0, 1.0]) / 2**0.5, rtol=1e-4)


def test_flatten_and_unflatten_are_inverse() -> None:
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
    statistics = PanelStatistics.from_panel(panel, 2)
    annotations = np.random.default_rng(0).random((SITES, 4), dtype=np.float32)
    settings = GameSettings(windows=8, **changes)
    pool = DecoyPool(panel, settings.genotype_error, np.random.default_rng(4), wanted=0)
    game = Game(SITES, 4, settings, torch.device("cpu"))
    _randomise(game.block)
    _randomise(game.identifier)

    def lineup(who: list[int]) -> Lineup:
        streams = [source(3, person) for person in who]
        batch = private_lineup(
            records[who], streams, pool, statistics, annotations, np.ones(len(who)), lineup=LINEUP, error=0.05
        )
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
    private = PrivateGame(game, bound, LINEUP)
    private.backward(lineup(list(range(people))))
    for loss in trained:
        got = torch.cat([rows.flatten(1) for rows in private.gradients[loss].per_person()], dim=1)
        torch.testing.assert_close(got, torch.stack([p[loss] for p in slow]), rtol=1e-6, atol=1e-9)
        private.gradients[loss].clip()
    whole = private.total()
    np.testing.assert_allclose(whole, expected, rtol=1e-3, atol=1e-5)
    assert len(whole) == game.lengths.update == len(game.vector()[game.lengths.private])
    game, lineup = _game_and_people(people, **changes)
    parts = PrivateGame(game, bound, LINEUP)
    parts.add(lineup([0, 1, 2]))
    parts.add(lineup([3]))
    np.testing.assert_allclose(parts.total(), whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_one_person_moves_the_joint_vector_by_the_clip_norm_and_no_more(changes: dict[str, Any]) -> None:
    game, lineup = _game_and_people(1, **changes)
    private = PrivateGame(game, 0.01, LINEUP)
    private.add(lineup([0]))
    assert 0.0099 < np.linalg.norm(private.total()) <= 0.01


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_other_people_do_not_change_a_persons_gradient(changes: dict[str, Any]) -> None:
    game, lineup = _game_and_people(5, **changes)
    private = PrivateGame(game, 1.0, LINEUP)
    private.backward(lineup([2]))
    alone = [row for block in private.gradients.values() for row in block.per_person()]
    game, lineup = _game_and_people(5, **changes)
    crowd = PrivateGame(game, 1.0, LINEUP)
    crowd.backward(lineup([0, 4, 2, 1]))
    together = [row for block in crowd.gradients.values() for row in block.per_person()]
    for one, many in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], many[2], rtol=1e-6, atol=1e-9)


def test_schedule_and_micro_batches() -> None:
    assert ramp(0, 100) == 0.0
    assert ramp(100, 100) == 1.0
    assert micro_batch(10**9, 16) == 1


@pytest.mark.parametrize(("people", "parameters"), [(4000, 500), (3, 200_000)])
def test_one_more_person_moves_the_sum_by_at_most_the_bound(people: int, parameters: int) -> None:
    """Exactly, and not up to float32: a long sum and a long vector, where everybody pulls the same way."""

    def total(count: int) -> NDArray[np.float64]:
        layer = nn.Linear(parameters, 1, bias=False)
        gradients = PersonGradients(layer, 1.0)
        direction = torch.randn(1, parameters, generator=torch.Generator().manual_seed(1))
        for start in range(0, count, 400):
            rows = direction.expand(min(400, count - start), parameters)
            gradients.backward(gradients.hooked(rows).sum())
            gradients.clip()
        return gradients.total()

    moved = np.linalg.norm(total(people + 1) - total(people))
    assert 0.99999 < moved <= 1.0
