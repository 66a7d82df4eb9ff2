"""The model, as one would have it without AFML."""

from __future__ import annotations

from torch import nn


def small_cnn(classes: int = 10) -> nn.Module:
    """Two convolutions; GroupNorm, since a norm over a batch would mix people.

    Args:
        classes: That are told apart.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),  # [images, 16, 8, 8]
        nn.GroupNorm(4, 16),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1),  # [images, 16, 4, 4]
        nn.GroupNorm(4, 16),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(256, classes),
    )
