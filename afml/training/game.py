"""The game: masker and identifier against each other, on the panel (public) and on private people (DP).

Both streams use the same `play`; they differ in where the batch comes from and in what is done with the
gradients. The public stream runs Adam. The private stream returns the sum of clipped per-person gradients
of the joint loss: the masker's block and the identifier's block are each clipped to
`clip_norm / sqrt(2)`, so that one person moves the whole vector by at most `clip_norm` in L2 and both
blocks together are one Gaussian mechanism with the phase's noise multiplier.

Each stream trains the losses that the settings list for it, "masking" the masker's block and
"identification" the identifier's. A block without a loss in the private stream is left out of the update
vector: in it, it would be moved by nothing but noise. The other block then has the whole `clip_norm`. A block
without a loss in the public stream is not stepped, and its normalisation keeps its statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.core.run import GameSettings, Loss
from afml.models.features import PanelStatistics
from afml.models.identifier import IdentificationNetwork
from afml.models.masker import MaskingNetwork, relaxed_mask
from afml.training.clipping import PersonGradients, flatten, unflatten
from afml.training.device import autocast
from afml.training.lineup import DecoyPool, Lineup, public_lineup
from afml.training.losses import identification_loss, masking_loss

TEMPERATURE = 0.5
#: The adversary's weight rises from 0 between these fractions of the public steps.
RAMP = (0.05, 0.4)
#: Starting keep-offsets (in units of SITE_LOGIT_SCALE) of the sites of the risk model and of all others.
_START_KEPT, _START_OTHER = 0.1, -0.25
#: Genotypes of one micro-batch of line-ups: bounds the memory of per-person gradients.
_MICRO_GENOTYPES = 150_000
#: The same in the public stream, which needs no per-person gradients.
_PUBLIC_GENOTYPES = 30_000_000


class MaskingBlock(nn.Module):
    """The Masking Network and the linear head that reads the risk scores back from the masked record.

    Args:
        sites: Number of sites.
        annotations: Annotation channels.
        settings: Context scores and normalisation of the network.
        phenotypes: Risk scores.
    """

    def __init__(self, sites: int, annotations: int, settings: GameSettings, phenotypes: int = 1) -> None:
        super().__init__()
        self.masker = MaskingNetwork(
            sites, annotations, context=settings.context_scores, normalisation=settings.normalisation
        )
        self.decoder = nn.Linear(sites, phenotypes)


@dataclass(frozen=True)
class Lengths:
    """Lengths of a game's flat vectors.

    Attributes:
        parameters: Of `Game.vector`.
        private: The part of it that private rounds train.
        buffers: Of `Game.buffers`.
    """

    parameters: int
    private: slice
    buffers: int

    @property
    def update(self) -> int:
        """Of the update vector of a private round."""
        return int(self.private.stop - self.private.start)


class Game:
    """Both networks and their flat parameter vector.

    Args:
        sites: Number of sites.
        annotations: Annotation channels.
        settings: The game's settings.
        device: Where the networks live.
        phenotypes: Risk scores that a masked record should still tell.
    """

    def __init__(
        self, sites: int, annotations: int, settings: GameSettings, device: torch.device, *, phenotypes: int = 1
    ) -> None:
        self.settings, self.device = settings, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a public constant; what matters is what training makes of it
            self.block = MaskingBlock(sites, annotations, settings, phenotypes).to(device)
            self.identifier = IdentificationNetwork(sites, window=settings.windows).to(device)

    @property
    def lengths(self) -> Lengths:
        """Of `vector`, of its private part, of `buffers`."""
        split = sum(p.numel() for p in self.block.parameters())
        total = split + sum(p.numel() for p in self.identifier.parameters())
        private = self.settings.private
        part = slice(0 if "masking" in private else split, total if "identification" in private else split)
        return Lengths(total, part, sum(b.numel() for b in self.block.buffers()))

    def vector(self) -> NDArray[np.float64]:
        """Masker block, then identifier, flat."""
        return np.concatenate([flatten(self.block), flatten(self.identifier)])

    def buffers(self) -> NDArray[np.float64]:
        """Running means, variances and step counts of batch normalisation, flat; empty without it."""
        parts = [b.detach().reshape(-1).to("cpu", torch.float64).numpy() for b in self.block.buffers()]
        return np.concatenate([np.zeros(0), *parts])

    def load(self, vector: NDArray[np.float64], buffers: NDArray[np.float64]) -> None:
        """Inverse of `vector` and `buffers`."""
        split = sum(p.numel() for p in self.block.parameters())
        unflatten(self.block, vector[:split])
        unflatten(self.identifier, vector[split:])
        start = 0
        for buffer in self.block.buffers():
            part = buffers[start : start + buffer.numel()]
            buffer.copy_(torch.from_numpy(np.array(part)).reshape(buffer.shape))
            start += buffer.numel()

    def start(
        self, weights: NDArray[np.float64], statistics: PanelStatistics, score_scale: NDArray[np.float64]
    ) -> None:
        """Begin at the risk model: its sites open, the first context scores and the decoder at its scores.

        Args:
            weights: Risk weights on standardised dosages, [sites] or [phenotypes, sites].
            statistics: Panel statistics.
            score_scale: Panel standard deviation of each risk score, [] or [phenotypes].
        """
        rows = np.atleast_2d(weights) / np.reshape(score_scale, (-1, 1))  # [phenotypes, sites]
        kept = rows.any(axis=0)
        with torch.no_grad():
            self.block.masker.own.bias.copy_(torch.from_numpy(np.where(kept, _START_KEPT, _START_OTHER)))
            self.block.masker.start_context(torch.from_numpy(rows).float())
            self.block.decoder.weight.copy_(torch.from_numpy(rows / statistics.scale))
            self.block.decoder.bias.copy_(torch.from_numpy(-rows @ (statistics.mean / statistics.scale)))

    def mask(self, batch: Lineup) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(relaxed mask [people, sites], masked record [people, sites], decoded scores, as in `Lineup.score`)."""
        mask = relaxed_mask(self.block.masker(batch.channels), batch.uniform, TEMPERATURE)
        shown = batch.dosage * mask
        decoded: torch.Tensor = self.block.decoder(shown)
        return mask, shown, decoded[:, 0] if decoded.shape[1] == 1 else decoded

    def losses(
        self,
        batch: Lineup,
        mask: torch.Tensor,
        decoded: torch.Tensor,
        logits: torch.Tensor,
        adversary_weight: float,
    ) -> torch.Tensor:
        """The masker's loss per person, [people]."""
        return masking_loss(
            logits,
            mask,
            decoded,
            batch.score,
            objective=self.settings.objective,
            adversary_weight=adversary_weight,
            utility_weight=self.settings.utility_weight,
            site_cost=self.settings.site_cost,
            form=self.settings.identification,
        )


def to_device(batch: Lineup, device: torch.device) -> Lineup:
    """The same batch on `device`."""
    return Lineup(**{name: tensor.to(device) for name, tensor in vars(batch).items()})


def ramp(step: int, steps: int) -> float:
    """Share of the adversary's weight at `step`, from 0 to 1."""
    start, end = RAMP[0] * steps, RAMP[1] * steps
    return min(1.0, max(0.0, (step - start) / max(end - start, 1.0)))


def train_on_panel(
    game: Game,
    pool: DecoyPool,
    statistics: PanelStatistics,
    annotations: NDArray[np.float32],
    score: NDArray[np.float64],
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
    *,
    bf16: bool = False,
) -> None:
    """The long part of the game, on public people only; costs no privacy.

    Args:
        game: The networks, changed in place; at least one loss is public.
        pool: Panel and mosaics.
        statistics: Panel statistics.
        annotations: [sites, A].
        score: Standardised risk scores of the pool, [pool] or [pool, phenotypes].
        rng: Seeded generator.
        progress: Called with (step, steps).
        bf16: Run both networks under autocast; parameters, losses and optimizer stay in float32.
    """
    settings = game.settings
    lineup = min(settings.lineup, len(pool))
    parts = _parts(settings.batch, max(1, _PUBLIC_GENOTYPES // (pool.people.shape[1] * (lineup + 1))))
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
        for people in parts:
            batch = to_device(
                public_lineup(
                    pool,
                    statistics,
                    annotations,
                    score,
                    batch=people,
                    lineup=lineup,
                    error=settings.genotype_error,
                    rng=rng,
                ),
                game.device,
            )
            with autocast(game.device, bf16):
                mask, shown, decoded = game.mask(batch)
                logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
            losses = {
                "masking": game.losses(batch, mask, decoded, logits, weight).mean(),
                "identification": identification_loss(logits, settings.identification).mean(),
            }
            gradients = {  # of all blocks before any of them moves
                loss: torch.autograd.grad(
                    losses[loss] * (people / settings.batch), parameters, retain_graph=loss != last
                )
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


def micro_batch(sites: int, lineup: int) -> int:
    """People whose line-ups fit one micro-batch."""
    return max(1, _MICRO_GENOTYPES // (sites * (lineup + 1)))


class PrivateGame:
    """Clipped sum of the joint game gradient over private people, micro-batch by micro-batch.

    Args:
        game: Networks at the current parameters; they get Opacus hooks, so use each `Game` once.
        clip_norm: L2 bound of a person's contribution to the whole vector.
        lineup: Candidates K.
    """

    def __init__(self, game: Game, clip_norm: float, lineup: int) -> None:
        self.game = game
        losses = game.settings.private
        block_clip = clip_norm / math.sqrt(len(losses))
        self.gradients: dict[Loss, PersonGradients] = {}  # in the order of `Game.vector`
        if "masking" in losses:
            self.gradients["masking"] = PersonGradients(game.block, block_clip)
        if "identification" in losses:
            self.gradients["identification"] = PersonGradients(game.identifier, block_clip, rows_per_person=lineup)

    def backward(self, batch: Lineup) -> None:
        """Per-person gradients of a batch: the identifier's of L_ID, the masker's of L_Mask."""
        game, settings = self.game, self.game.settings
        with torch.set_grad_enabled("masking" in self.gradients):
            mask, shown, decoded = game.mask(batch)
        # The identifier learns from the record as it is shown, the masker through a frozen identifier.
        if "identification" in self.gradients:
            logits = game.identifier(shown.detach(), batch.candidates, batch.candidates_standard)
            PersonGradients.backward(identification_loss(logits, settings.identification).sum())
        if "masking" in self.gradients:
            with self._frozen_identifier():
                frozen = game.identifier(shown, batch.candidates, batch.candidates_standard)
                PersonGradients.backward(game.losses(batch, mask, decoded, frozen, settings.adversary_weight).sum())

    @contextmanager
    def _frozen_identifier(self) -> Iterator[None]:
        """Gradients pass through the identifier and leave none there."""
        hooked = self.gradients.get("identification")
        if hooked:
            hooked.hooked.disable_hooks()
        self.game.identifier.requires_grad_(False)
        try:
            yield
        finally:
            self.game.identifier.requires_grad_(True)
            if hooked:
                hooked.hooked.enable_hooks()

    def add(self, batch: Lineup) -> None:
        """Add a micro-batch of people to the sum."""
        self.backward(batch)
        for gradients in self.gradients.values():
            gradients.clip()

    def total(self) -> NDArray[np.float64]:
        """The clipped sum, flat like the private part of `Game.vector`."""
        return np.concatenate([gradients.total() for gradients in self.gradients.values()])
