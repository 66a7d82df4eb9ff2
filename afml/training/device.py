"""Where tensors live, and how many threads compute on them: decided here and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread, so that the order of additions, and every bit, is always the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
