"""The model, as one would have it without AFML."""

from __future__ import annotations

from torch import nn


def perceptron(features: int, hidden: int = 16) -> nn.Module:
    """One hidden layer.

    Args:
        features: Numbers of a person.
        hidden: Units.
    """
    return nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 1))
