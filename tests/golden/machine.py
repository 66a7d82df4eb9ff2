"""What a seeded run's bits depend on beside the code: libraries and the kernels that they choose on this processor."""

from __future__ import annotations

import platform
from importlib.metadata import version

import scipy.linalg  # noqa: F401 - brings its own BLAS, which is asked below
import torch
from threadpoolctl import threadpool_info


def machine() -> dict[str, str]:
    """Named facts; digests are comparable where all agree."""
    blas = {str(one.get("architecture")) for one in threadpool_info() if one["internal_api"] == "openblas"}
    return {
        "processor": platform.machine(),
        "torch": f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}",
        "openblas": ", ".join(sorted(blas)),
        **{name: version(name) for name in ("numpy", "scipy", "opacus")},
    }
