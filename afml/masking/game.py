"""The game: masker and identifier against each other, on the panel (public) and on private people (DP).

The two streams differ in where the batch comes from and in what is done with the gradients. The public one runs Adam
(`public_game`). The private one gives per-person gradients of the joint loss (`private_game`): the masker's block and
the identifier's block are each clipped to `clip_norm / sqrt(2)`, so that one person moves the whole vector by at most
`clip_norm` in L2 and both blocks together are one Gaussian mechanism with the phase's noise multiplier.

Each stream trains the losses that the settings list for it, "masking" the masker's block and
"identification" the identifier's. A block without a loss in the private stream is left out of the update
vector: in it, it would be moved by nothing but noise. The other block then has the whole `clip_norm`. A block
without a loss in the public stream is not stepped, and its normalisation keeps its statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.masking.lineup import Lineup
from afml.masking.losses import masking_loss
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.identifier import IdentificationNetwork
from afml.masking.networks.masker import MaskingNetwork, relaxed_mask
from afml.masking.settings import GameSettings
from afml.training.clipping import flatten, unflatten

TEMPERATURE = 0.5
#: Starting keep-offsets (in units of SITE_LOGIT_SCALE) of the sites of the risk model and of all others.
_START_KEPT, _START_OTHER = 0.1, -0.25


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
            self.settings,
            adversary_weight,
        )


def to_device(batch: Lineup, device: torch.device) -> Lineup:
    """The same batch on `device`."""
    return Lineup(**{name: tensor.to(device) for name, tensor in vars(batch).items()})
