"""Trained models on disk: named arrays of numbers and a card. No code and no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.config import canonical_json
from afml.core.errors import ConfigError, IntegrityError
from afml.core.files import require_file, staged_folder
from afml.training.archive import read_archive

if TYPE_CHECKING:
    from torch import nn

_ARRAYS, CARD_FILE = "model.npz", "model.json"
Arrays = Mapping[str, NDArray[Any]]


def model_digest(arrays: Arrays, card: Mapping[str, Any]) -> str:
    """SHA-256, hex, over every array, in the order given, and the card."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(canonical_json(card))
    return digest.hexdigest()


def save_model(folder: Path, arrays: Arrays, card: Mapping[str, Any]) -> None:
    """Write `model.npz` (plain arrays) and `model.json` (card and digest); whole or not at all."""
    with staged_folder(folder) as staged:
        np.savez(staged / _ARRAYS, allow_pickle=False, **arrays)
        stored = {"digest": model_digest(arrays, card), "card": card}
        (staged / CARD_FILE).write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_model(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """(arrays, card) of a saved model.

    Raises:
        InputError: A file is missing.
        IntegrityError: The files are damaged or do not match their digest.
    """
    for name in (_ARRAYS, CARD_FILE):
        require_file(folder / name, "model", "train first, or check the path")
    try:
        stored = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        with (folder / _ARRAYS).open("rb") as opened:
            arrays = read_archive(opened)
        card: dict[str, Any] = stored["card"]
        intact = isinstance(card, dict) and model_digest(arrays, card) == stored["digest"]
    except Exception as error:  # whatever a damaged archive raises
        raise IntegrityError("model cannot be read", where=folder, cure="fetch it again") from error
    if not intact:
        raise IntegrityError("model does not match its digest", where=folder, cure="fetch it again")
    return arrays, card


@dataclass(frozen=True)
class ArrayModel:
    """A model that is nothing but arrays and a card.

    Attributes:
        arrays: Numbers by name.
        card: Settings and facts that travel with the model (JSON values only).
    """

    arrays: Arrays = field(repr=False)
    card: dict[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256, hex, over arrays and card."""
        return model_digest(self.arrays, self.card)

    def save(self, folder: Path) -> None:
        """Write it; whole or not at all."""
        save_model(folder, self.arrays, self.card)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model; raises as `load_model`."""
        return cls(*load_model(folder))


def run_card(run: RunConfig) -> dict[str, Any]:
    """What every model's card says of the run that made it: enough to open its task again, and nothing private.

    Returns:
        `run` (its name), `config_digest`, `config` (all of the signed configuration) and `start` (digest of the
        model that it began from, or "").
    """
    config = run.model_dump(mode="json")
    return {
        "run": run.run,
        "config_digest": run.digest().hex(),
        "config": config,
        "start": run.start,
    }


def load_arrays(module: nn.Module, arrays: Arrays) -> None:
    """Give a module the parameters of a saved model.

    Args:
        module: Changed in place; its `state_dict` says which arrays there must be.
        arrays: By the names of the `state_dict`.

    Raises:
        ConfigError: A name or a shape differs, or a number is not finite; nothing is changed.
    """
    import torch

    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(array.shape) for name, array in arrays.items()}
    cure = "give a model of the same task and settings"
    if odd := sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name)):
        raise ConfigError(
            f"differs in {len(odd)} arrays, first in {odd[0]}: {_shape(given, odd[0])} in the model, "
            f"{_shape(wanted, odd[0])} in the task",
            where="model",
            cure=cure,
        )
    present, found = module.state_dict(), {}
    for name, array in arrays.items():
        numbers = array.dtype.kind in "biuf" and np.isfinite(array).all()
        # As the module keeps it: what is finite in float64 may be none in float32, and then nobody's gradient is.
        found[name] = torch.from_numpy(np.array(array)).to(present[name].dtype) if numbers else torch.tensor(torch.nan)
        if not bool(torch.isfinite(found[name]).all()):
            raise ConfigError(f"the array {name} holds what is no finite number", where="model", cure=cure)
    module.load_state_dict(found)


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return "x".join(map(str, shapes[name])) or "one number" if name in shapes else "none"
