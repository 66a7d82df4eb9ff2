"""The model, as one would have it without AFML."""

from __future__ import annotations

from torch import nn


def site_cnn(sites: int, channels: int = 2, width: int = 3) -> nn.Module:
    """A convolution over neighbouring sites, then a weight for every site and channel.

    Args:
        sites: In genome order.
        channels: Of the convolution.
        width: Sites that it sees at once, odd.
    """
    return nn.Sequential(
        nn.Conv1d(1, channels, width, padding=width // 2),  # [people, channels, sites]
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(channels * sites, 1),
    )
