"""A module's trained part, which is the update vector, and its frozen one, which stays as the run found it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Names of parameters that a pattern is for."""
    return [name for name in names if fnmatchcase(name, pattern)]


def choose(module: nn.Module, patterns: tuple[str, ...]) -> None:
    """Say which parameters require a gradient: those that a pattern names; without patterns, those that do already."""
    if patterns:
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that are trained by name, in the order of the update vector."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


def count(module: nn.Module) -> int:
    """P, numbers that are trained."""
    return sum(parameter.numel() for parameter in trained(module).values())


def read(module: nn.Module) -> NDArray[np.float64]:
    """The trained parameters in order, float64 [P]."""
    parts = [p.detach().reshape(-1).to("cpu", torch.float64).numpy() for p in trained(module).values()]
    return np.concatenate([np.zeros(0), *parts])


def write(module: nn.Module, values: NDArray[np.float64]) -> None:
    """Inverse of `read`."""
    start = 0
    with torch.no_grad():
        for parameter in trained(module).values():
            part = values[start : start + parameter.numel()]
            parameter.copy_(torch.from_numpy(np.array(part)).reshape(parameter.shape))
            start += parameter.numel()


def rest(module: nn.Module) -> None:
    """Put a module into training mode, and its parts without any trained parameter into that of prediction.

    So a frozen BatchNorm goes by what it learned before and mixes nobody, and a frozen part drops nothing out. What
    has no parameter at all goes with the part it stands in.
    """
    module.train()
    for part in module.modules():
        own = list(part.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            part.eval()


def frozen_digest(module: nn.Module) -> bytes:
    """SHA-256 over names, shapes and bytes of all that is not trained: frozen parameters and buffers; b"" for none."""
    learned = trained(module)
    fixed = {name: value for name, value in module.state_dict().items() if name not in learned}
    if not fixed:
        return b""
    digest = hashlib.sha256()
    for name, value in fixed.items():
        array = value.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.digest()


def largest_layer(module: nn.Module) -> int:
    """Trained numbers of the layer that has most of them, linear ones and embeddings apart (`afml.training.ghost`)."""
    layers = [layer for layer in module.modules() if not isinstance(layer, nn.Linear | nn.Embedding)]
    own = [[p.numel() for p in layer.parameters(recurse=False) if p.requires_grad] for layer in layers]
    return max(map(sum, own), default=0)


def outputs(module: nn.Module, features: torch.Tensor) -> int:
    """Numbers that a module's layers give for one row: what a micro-batch keeps of it until gradients are taken."""
    total = 0

    def count_of(layer: nn.Module, given: object, result: object) -> None:
        nonlocal total
        total += result.numel() if isinstance(result, torch.Tensor) else 0

    hooks = [layer.register_forward_hook(count_of) for layer in module.modules() if not list(layer.children())]
    try:
        with torch.no_grad():
            module(features[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return total
