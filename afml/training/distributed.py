"""Several processes or GPUs inside one institution, started by `torchrun`: each takes a part of the batch.

The processes of a group hold the same cohort. The first one draws the batch and the noise; each person of the
batch is handled by exactly one process, which clips that person's gradient; the clipped sums are added in
float64. So one node still sends one sum with one noise, with the sensitivity of a single process. Without
a process group every function here does nothing.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray


def _world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_part(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """The people of the batch that this process handles; the parts of all processes are disjoint."""
    return batch if _world() == 1 else batch[dist.get_rank() :: _world()]


def from_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first process's values, at every process; all must give the same shape."""
    if _world() == 1:
        return values
    shared = torch.from_numpy(values.copy()).to(_channel())
    dist.broadcast(shared, src=0)
    return np.asarray(shared.cpu().numpy())


def added(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over processes, float64, the same bits at every process."""
    if _world() == 1:
        return values
    shared = torch.from_numpy(values.copy()).to(_channel())
    dist.all_reduce(shared, op=dist.ReduceOp.SUM)
    return np.asarray(shared.cpu().numpy())


def _channel() -> torch.device:
    """NCCL moves CUDA tensors only, gloo those of the CPU."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
