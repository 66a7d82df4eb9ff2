"""The game: masker and identifier against each other, on the panel (public) and on private people (DP).

Both streams use the same `play`; they differ in where the batch comes from and in what is done with the
gradients. The public stream runs Adam. The private stream returns the sum of clipped per-person gradients
of the joint loss: the masker's block and the identifier's block are each clipped to
`clip_norm / sqrt(2)`, so that one person moves the whole vector by at most `clip_norm` in L2 and both
blocks together are one Gaussian mechanism with the phase's noise multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.core.run import GameSettings
from afml.models.features import PanelStatistics
from afml.models.identifier import IdentificationNetwork
from afml.models.masker import MaskingNetwork, relaxed_mask
from afml.training.clipping import PersonGradients, flatten, unflatten
from afml.training.lineup import DecoyPool, Lineup, public_lineup
from afml.training.losses import identification_loss, masking_loss

TEMPERATURE = 0.5
#: The adversary's weight rises from 0 between these fractions of the public steps.
RAMP = (0.05, 0.4)
#: Starting keep-offsets (in units of SITE_LOGIT_SCALE) of the sites of the risk model and of all others.
_START_KEPT, _START_OTHER = 0.1, -0.25
#: Genotypes of one micro-batch of line-ups: bounds the memory of per-person gradients.
_MICRO_GENOTYPES = 150_000


class MaskingBlock(nn.Module):
    """The Masking Network and the linear head that reads the risk scores back from the masked record.

    Args:
        sites: Number of sites.
        annotations: Annotation channels.
        phenotypes: Risk scores.
    """

    def __init__(self, sites: int, annotations: int, phenotypes: int = 1) -> None:
        super().__init__()
        self.masker = MaskingNetwork(sites, annotations)
        self.decoder = nn.Linear(sites, phenotypes)


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
            self.block = MaskingBlock(sites, annotations, phenotypes).to(device)
            self.identifier = IdentificationNetwork(sites, window=settings.windows).to(device)

    @property
    def parameters(self) -> int:
        """Parameters of both blocks."""
        return sum(p.numel() for p in self.block.parameters()) + sum(p.numel() for p in self.identifier.parameters())

    def vector(self) -> NDArray[np.float64]:
        """Masker block, then identifier, flat."""
        return np.concatenate([flatten(self.block), flatten(self.identifier)])

    def load(self, vector: NDArray[np.float64]) -> None:
        """Inverse of `vector`."""
        split = sum(p.numel() for p in self.block.parameters())
        unflatten(self.block, vector[:split])
        unflatten(self.identifier, vector[split:])

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
) -> None:
    """The long part of the game, on public people only; costs no privacy.

    Args:
        game: The networks, changed in place.
        pool: Panel and mosaics.
        statistics: Panel statistics.
        annotations: [sites, A].
        score: Standardised risk scores of the pool, [pool] or [pool, phenotypes].
        rng: Seeded generator.
        progress: Called with (step, steps).
    """
    settings = game.settings
    mask_parameters, id_parameters = list(game.block.parameters()), list(game.identifier.parameters())
    mask_optimizer = torch.optim.Adam(mask_parameters, lr=settings.learning_rate)
    id_optimizer = torch.optim.Adam(id_parameters, lr=settings.learning_rate)
    game.block.train()
    game.identifier.train()
    for step in range(settings.steps):
        batch = to_device(
            public_lineup(
                pool,
                statistics,
                annotations,
                score,
                batch=settings.batch,
                lineup=min(settings.lineup, len(pool)),
                error=settings.genotype_error,
                rng=rng,
            ),
            game.device,
        )
        mask, shown, decoded = game.mask(batch)
        logits = game.identifier(shown, batch.candidates, batch.candidates_standard)
        weight = settings.adversary_weight * ramp(step, settings.steps)
        masking = game.losses(batch, mask, decoded, logits, weight).mean()
        identification = identification_loss(logits).mean()
        mask_gradients = torch.autograd.grad(masking, mask_parameters, retain_graph=True)
        id_gradients = torch.autograd.grad(identification, id_parameters)
        for optimizer, parameters, gradients in (
            (mask_optimizer, mask_parameters, mask_gradients),
            (id_optimizer, id_parameters, id_gradients),
        ):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
        if progress is not None:
            progress(step + 1, settings.steps)


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
        block_clip = clip_norm / math.sqrt(2.0)
        self.masking = PersonGradients(game.block, block_clip)
        self.identification = PersonGradients(game.identifier, block_clip, rows_per_person=lineup)

    def backward(self, batch: Lineup) -> None:
        """Per-person gradients of a batch: the identifier's of L_ID, the masker's of L_Mask."""
        game = self.game
        mask, shown, decoded = game.mask(batch)
        # The identifier learns from the record as it is shown, the masker through a frozen identifier.
        logits = game.identifier(shown.detach(), batch.candidates, batch.candidates_standard)
        PersonGradients.backward(identification_loss(logits).sum())
        self.identification.hooked.disable_hooks()
        game.identifier.requires_grad_(False)
        frozen = game.identifier(shown, batch.candidates, batch.candidates_standard)
        PersonGradients.backward(game.losses(batch, mask, decoded, frozen, game.settings.adversary_weight).sum())
        game.identifier.requires_grad_(True)
        self.identification.hooked.enable_hooks()

    def add(self, batch: Lineup) -> None:
        """Add a micro-batch of people to the sum."""
        self.backward(batch)
        self.masking.clip()
        self.identification.clip()

    def total(self) -> NDArray[np.float64]:
        """The clipped sum, flat like `Game.vector`."""
        return np.concatenate([self.masking.total(), self.identification.total()])
