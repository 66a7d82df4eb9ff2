"""What a seeded run's bits depend on beside the code: libraries and the kernels that they choose on this processor."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import scipy.linalg  # noqa: F401 - brings its own BLAS, which is asked below
import torch
from threadpoolctl import threadpool_info


def _vendor() -> str:
    """Whose processor it is: torch's BLAS takes other kernels on another maker's, whatever the instruction set."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in told if line.startswith("vendor_id")), "unknown")


def machine() -> dict[str, str]:
    """Named facts; digests are comparable where all agree."""
    blas = {str(one.get("architecture")) for one in threadpool_info() if one["internal_api"] == "openblas"}
    return {
        "processor": f"{platform.machine()} {_vendor()}",
        "torch": f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}",
        "openblas": ", ".join(sorted(blas)),
        **{name: version(name) for name in ("numpy", "scipy", "opacus")},
    }
