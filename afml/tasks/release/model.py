"""What a release ends with: arrays, a card, and the pages that people read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from afml.training.model import ArrayModel

Pages = Callable[[Path], None]
"""Writes files that follow from arrays and card alone into the model's folder, each whole or not at all."""


@dataclass(frozen=True)
class ReleaseModel(ArrayModel):
    """Arrays and a card, with result files beside them. The digest is of arrays and card: pages follow from them.

    Attributes:
        pages: Writes the result files; None for none.
    """

    pages: Pages | None = field(default=None, repr=False, compare=False)

    def save(self, folder: Path) -> None:
        """Write the model, whole or not at all; then the pages: what fails in them loses nothing that was paid for."""
        super().save(folder)
        if self.pages is not None:
            self.pages(folder)
