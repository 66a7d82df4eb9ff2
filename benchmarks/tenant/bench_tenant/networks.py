"""The networks, without a word of AFML: Opacus alone trains the same ones."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import relu

CLASSES, GROUPS = 10, 8


def mlp() -> nn.Module:
    """64 -> 960 -> 960 -> 10 over 8 x 8 images: 994,570 parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 960), nn.Tanh(), nn.Linear(960, 960), nn.Tanh(), nn.Linear(960, CLASSES)
    )


class Block(nn.Module):
    """Two convolutions and the way round them (He et al. 2016, figure 5 left), with GroupNorm for BatchNorm."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, out)
        self.round = (
            nn.Identity()
            if stride == 1 and inside == out
            else nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.GroupNorm(GROUPS, out))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, inside, h, w] -> [rows, out, h / stride, w / stride]."""
        inner = self.norm2(self.second(relu(self.norm1(self.first(x)))))
        return relu(inner + self.round(x))


def resnet18() -> nn.Module:
    """ResNet-18 for 3 x 32 x 32 images: 11.17M parameters."""
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False),
        nn.GroupNorm(GROUPS, 64),
        nn.ReLU(),
        *(Block(*width) for width in widths),
        Block(512, 512, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, CLASSES),
    )
