"""Saved models in formats that other programs read: numbers by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from afml.core.config import canonical_json
from afml.training.model import ArrayModel

CARD = "afml"
"""Key of the card in a safetensors file's metadata, JSON."""


def _safetensors(out: Path, model: ArrayModel) -> None:
    arrays = {name: np.asarray(array, order="C") for name, array in model.arrays.items()}
    out.write_bytes(safetensors.numpy.save(arrays, metadata={CARD: canonical_json(model.card).decode()}))


def _torch(out: Path, model: ArrayModel) -> None:
    """What `module.load_state_dict(torch.load(out, weights_only=True))` takes."""
    with out.open("wb") as opened:
        torch.save({name: torch.from_numpy(np.array(array)) for name, array in model.arrays.items()}, opened)


def _npz(out: Path, model: ArrayModel) -> None:
    with out.open("wb") as opened:
        np.savez(opened, allow_pickle=False, **model.arrays)


FORMATS: dict[str, Callable[[Path, ArrayModel], None]] = {"safetensors": _safetensors, "torch": _torch, "npz": _npz}
"""Format -> writes a model to a file."""
