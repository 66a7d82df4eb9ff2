"""How much disk a run takes, at the aggregator and at a node: stated, and checked before the run begins.

Ciphertexts and sums go as soon as nobody needs them any more, so a run takes as much as a round or two, however many it
has. While a node is away, every round that it misses costs one more sum at the aggregator.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from afml.consortium.run import RunConfig
from afml.consortium.scheme import further_coordinates, run_params
from afml.core.errors import ConfigError
from crypto.public.backend import public_backend
from crypto.public.params import CodecParams

MARGIN = 32 << 20
"""Bytes for what is small: databases and their logs, transcript, letters."""


class Packs(Protocol):
    """What is needed of a backend of blind sums."""

    def upload_size(self, params: CodecParams) -> int:
        """Bytes of a payload."""
        ...


def largest_update(run: RunConfig, backend: Packs | None = None) -> int:
    """Bytes of the longest phase's update, or of its sum, on disk.

    Args:
        run: The run.
        backend: How updates are hidden; by default as the run names it.
    """
    params = run_params(run)
    parameters = max(1, *(phase.parameters for phase in run.phases))
    return params.chunks(parameters + further_coordinates(run)) * (
        (backend or public_backend(run.backend)).upload_size(params) + 8
    )


def node_bytes(run: RunConfig, backend: Packs | None = None) -> int:
    """What a node must have room for: ciphertexts of two attempts; the model's state, the next and the saved one."""
    return MARGIN + 2 * largest_update(run, backend) + 3 * 8 * max(phase.parameters for phase in run.phases)


def aggregator_bytes(run: RunConfig, backend: Packs | None = None) -> int:
    """What the aggregator must have room for: everybody's updates, a sum while it is put together, and the one before.

    Every round that somebody misses takes one more `largest_update`, until that node has fetched its sum.
    """
    return MARGIN + (len(run.nodes) + 3) * largest_update(run, backend)


def free_bytes(folder: Path) -> int:
    """Free on the disk where a folder is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin where there is too little room.

    Args:
        folder: Where the run will write.
        needed: Bytes.

    Raises:
        ConfigError: There is; says how much is missing.
    """
    if (free := free_bytes(folder)) < needed:
        raise ConfigError(
            f"has {free / 1e6:.0f} MB free on its disk, and this run needs {needed / 1e6:.0f} MB",
            where=folder,
            cure="make room or choose another disk; `afml doctor --run` tells what a run needs",
        )
