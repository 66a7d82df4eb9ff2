"""Per-person gradients of the game on private people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from afml.masking.game import Game
from afml.masking.lineup import Lineup
from afml.masking.losses import identification_loss
from afml.masking.settings import Loss
from afml.training.clipping import RowGradients
from afml.training.task import Rows

#: Genotypes of one micro-batch of line-ups: bounds the memory of per-person gradients.
_MICRO_GENOTYPES = 150_000


class PrivateGame:
    """Per-person gradients of the joint game on private people.

    Args:
        game: Networks at the current parameters; they get Opacus hooks, so use each `Game` once.
        lineup: Candidates K.
    """

    def __init__(self, game: Game, lineup: int) -> None:
        self.game = game
        losses = game.settings.private
        self.gradients: dict[Loss, RowGradients] = {}  # in the order of `Game.vector`
        if "masking" in losses:
            self.gradients["masking"] = RowGradients(game.block)
        if "identification" in losses:
            self.gradients["identification"] = RowGradients(game.identifier, lineup)

    def rows(self, batch: Lineup) -> list[Rows]:
        """Gradients of a micro-batch: of L_Mask for the masker's block, of L_ID for the identifier's."""
        game, settings = self.game, self.game.settings
        with torch.set_grad_enabled("masking" in self.gradients):
            mask, shown, decoded = game.mask(batch)
        # The identifier learns from the record as it is shown, the masker through a frozen identifier.
        if "identification" in self.gradients:
            logits = game.identifier(shown.detach(), batch.candidates, batch.candidates_standard)
            RowGradients.backward(identification_loss(logits, settings.identification).sum())
        if "masking" in self.gradients:
            with self._frozen_identifier():
                frozen = game.identifier(shown, batch.candidates, batch.candidates_standard)
                RowGradients.backward(game.losses(batch, mask, decoded, frozen, settings.adversary_weight).sum())
        return [gradients.rows() for gradients in self.gradients.values()]

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


def micro_batch(sites: int, lineup: int) -> int:
    """People whose line-ups fit one micro-batch."""
    return max(1, _MICRO_GENOTYPES // (sites * (lineup + 1)))
