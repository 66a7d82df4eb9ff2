"""Where tensors live, and in which precision they are computed: decided here, nowhere else."""

from __future__ import annotations

import os

import torch


def device() -> torch.device:
    """A CUDA device where there is one, else the CPU.

    The first one; under `torchrun` each process of the machine takes the next (LOCAL_RANK), again from the first
    where there are more processes than devices.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def autocast(where: torch.device, bf16: bool) -> torch.autocast:
    """Matrix products and convolutions in bfloat16 within, where asked for; else as they are."""
    return torch.autocast(where.type, dtype=torch.bfloat16, enabled=bf16)
