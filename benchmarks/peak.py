"""The peak memory of a process."""

from __future__ import annotations

from pathlib import Path


def peak_gb() -> float:
    """Of this process alone; `ru_maxrss` would begin with its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 2**20, 3)
    raise OSError("the kernel does not tell this process's peak memory")
