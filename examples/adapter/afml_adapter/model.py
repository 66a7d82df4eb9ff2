"""A network that was trained on public images, frozen, and a small adapter on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

PIXELS, GLYPHS, SEEN = 64, 62, 512
"""Of an image; kinds of glyphs that the network was trained to tell apart; what it sees in an image."""
FROZEN = Path(__file__).with_name("frozen.npz")


def trunk() -> nn.Sequential:
    """The large network, 10.6 million parameters, untrained."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(PIXELS, 2048),
        nn.ReLU(),
        nn.Linear(2048, 4096),
        nn.ReLU(),
        nn.Linear(4096, SEEN),
        nn.LayerNorm(SEEN, elementwise_affine=False),
    )


class Adapted(nn.Module):
    """The frozen network, a bottleneck beside it, a head.

    Args:
        classes: Of the private task.
        bottleneck: Width of the adapter.
    """

    def __init__(self, classes: int = 10, bottleneck: int = 16) -> None:
        super().__init__()
        with torch.device("meta"):  # its parameters come from the file, none is drawn
            self.frozen = trunk()
        with np.load(FROZEN, allow_pickle=False) as stored:
            state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in stored.items()}
        self.frozen.load_state_dict(state, assign=True)
        self.frozen.requires_grad_(False)
        self.down, self.up = nn.Linear(SEEN, bottleneck), nn.Linear(bottleneck, SEEN)
        nn.init.zeros_(self.up.weight)  # at first the adapter changes nothing
        nn.init.zeros_(self.up.bias)
        self.head = nn.Linear(SEEN, classes)
        nn.init.zeros_(self.head.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, [images, classes]."""
        seen = self.frozen(images)  # [images, SEEN]
        return self.head(seen + self.up(torch.tanh(self.down(seen))))
