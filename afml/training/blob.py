"""Named float64 arrays as bytes: what nodes pass on and keep between rounds. No code and no pickle."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from afml.training.archive import read_archive


def dump(arrays: dict[str, NDArray[np.float64]]) -> bytes:
    """Arrays as an uncompressed numpy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load(blob: bytes, what: str, known: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
    """Inverse of `dump`, for bytes from anywhere: what is not expected is refused before anything is allocated for it.

    Args:
        blob: Bytes from anywhere.
        what: Their name in a message.
        known: Names that may be there, and how many numbers each may have at most.

    Raises:
        IntegrityError: Not such an archive.
    """
    try:
        found = read_archive(io.BytesIO(blob), known)
    except Exception as error:  # whatever a damaged archive raises
        raise IntegrityError(f"the {what} cannot be read", cure="fetch it again") from error
    return {name: array.astype(np.float64, copy=False) for name, array in found.items()}
