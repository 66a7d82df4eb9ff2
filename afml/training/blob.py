"""Named float64 arrays as bytes: what nodes pass on and keep between rounds. No code and no pickle."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import IntegrityError


def dump(arrays: dict[str, NDArray[np.float64]]) -> bytes:
    """Arrays as an uncompressed numpy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load(blob: bytes, what: str) -> dict[str, NDArray[np.float64]]:
    """Inverse of `dump`.

    Args:
        blob: Bytes from anywhere.
        what: Their name in a message.

    Raises:
        IntegrityError: Not such an archive.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float64) for name in arrays.files}
    except Exception as error:  # whatever a damaged archive raises
        raise IntegrityError(f"the {what} cannot be read", cure="fetch it again") from error
