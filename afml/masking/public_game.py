"""The long part of the game, on public people alone: Adam, large line-ups, no privacy spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.masking.game import Game, to_device
from afml.masking.lineup import DecoyPool, LineupShape, SiteInputs, public_lineup
from afml.masking.losses import identification_loss
from afml.masking.settings import Loss
from afml.training.device import autocast

#: The adversary's weight rises from 0 between these fractions of the public steps.
RAMP = (0.05, 0.4)
#: Genotypes of one micro-batch of line-ups; no per-person gradients are needed here.
_PUBLIC_GENOTYPES = 30_000_000


@dataclass(frozen=True)
class PublicPeople:
    """The people of the public game.

    Attributes:
        pool: Panel and mosaics.
        sites: What is known of the sites.
        score: Standardised risk scores of the pool, [pool] or [pool, phenotypes].
    """

    pool: DecoyPool
    sites: SiteInputs
    score: NDArray[np.float64]


def ramp(step: int, steps: int) -> float:
    """Share of the adversary's weight at `step`, from 0 to 1."""
    start, end = RAMP[0] * steps, RAMP[1] * steps
    return min(1.0, max(0.0, (step - start) / max(end - start, 1.0)))


def train_on_panel(
    game: Game,
    people: PublicPeople,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
    *,
    bf16: bool = False,
) -> None:
    """The long part of the game, on public people only; costs no privacy.

    Args:
        game: The networks, changed in place; at least one loss is public.
        people: Who plays.
        rng: Seeded generator.
        progress: Called with (step, steps).
        bf16: Run both networks under autocast; parameters, losses and optimizer stay in float32.
    """
    settings = game.settings
    shape = LineupShape(min(settings.lineup, len(people.pool)), settings.genotype_error)
    genotypes = people.pool.people.shape[1] * (shape.lineup + 1)  # of one line-up
    parts = _parts(settings.batch, max(1, _PUBLIC_GENOTYPES // genotypes))
    networks: dict[Loss, nn.Module] = {"masking": game.block, "identification": game.identifier}
    trained = {loss: list(network.parameters()) for loss, network in networks.items() if loss in settings.public}
    optimizers = {loss: torch.optim.Adam(parameters, lr=settings.learning_rate) for loss, parameters in trained.items()}
    last = list(trained)[-1]
    for loss, network in networks.items():
        network.train(loss in trained)
    for step in range(settings.steps):
        weight = settings.adversary_weight * ramp(step, settings.steps)
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        for size in parts:
            batch = to_device(public_lineup(people.pool, people.sites, people.score, shape, size, rng), game.device)
            with autocast(game.device, bf16):
                mask, shown, decoded = game.mask(batch)
                logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
            losses = {
                "masking": game.losses(batch, mask, decoded, logits, weight).mean(),
                "identification": identification_loss(logits, settings.identification).mean(),
            }
            gradients = {  # of all blocks before any of them moves
                loss: torch.autograd.grad(losses[loss] * (size / settings.batch), parameters, retain_graph=loss != last)
                for loss, parameters in trained.items()
            }
            for loss, parameters in trained.items():
                for parameter, gradient in zip(parameters, gradients[loss], strict=True):
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        for optimizer in optimizers.values():
            optimizer.step()
        if progress is not None:
            progress(step + 1, settings.steps)


def _parts(people: int, at_most: int) -> list[int]:
    """Sizes of the micro-batches that a batch is cut into; one where it fits."""
    return [min(at_most, people - start) for start in range(0, people, at_most)]
