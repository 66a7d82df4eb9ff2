"""Saved models of an institution: found by their digest, wherever they were put."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from afml.core.errors import ConfigError
from afml.training.model import CARD_FILE, ArrayModel


def find_model(digest: str, places: Iterable[Path]) -> ArrayModel:
    """The saved model of a digest.

    Args:
        digest: Hex SHA-256 of a model (`ArrayModel.digest`).
        places: Folders of models, and folders that hold such folders.

    Raises:
        ConfigError: It is in none of them.
        IntegrityError: It is there and damaged.
    """
    for folder in model_folders(places):
        if claimed_digest(folder) == digest:
            return ArrayModel.load(folder)
    raise ConfigError(
        f"the model {digest[:12]} is not here", where="model", cure="give its folder with `afml node --start-model`"
    )


def model_folders(places: Iterable[Path]) -> Iterator[Path]:
    """The folders among these, and directly in these, that hold a model, in the order of their names."""
    for place in places:
        for folder in (place, *(sorted(place.iterdir()) if place.is_dir() else ())):
            if (folder / CARD_FILE).is_file():
                yield folder


def claimed_digest(folder: Path) -> str:
    """The digest that a model's card names; "" where it cannot be read."""
    try:
        return str(json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
