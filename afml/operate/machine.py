"""What `afml doctor` looks at on a machine: software, memory, disk, open files, accelerator."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from afml import __version__
from afml.consortium.space import free_bytes
from afml.operate.checked import Checked, failed, ok, warning
from afml.operate.words import size

MEMORY_FLOOR = 2 << 30
"""Bytes of memory below which a node is told that it may not suffice: what torch and a small run take."""
DISK_FLOOR = 1 << 30
"""Bytes of free disk, where no run says how many are needed."""
FILES_FLOOR = 1024
"""Open files and connections: below it, uploads of honest nodes can fail at an aggregator."""
_CGROUP = Path("/sys/fs/cgroup")
_SHOWN = ("torch", "grpcio", "tenseal", "cryptography", "opacus")
_REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+")


def versions() -> Checked:
    """Of AFML, Python and the packages that AFML cannot do without."""
    missing, there = [], {}
    for requirement in _requirements():
        found = _REQUIREMENT.match(requirement)
        if found is None or "extra ==" in requirement:
            continue
        try:
            there[found[0].lower()] = importlib.metadata.version(found[0])
        except importlib.metadata.PackageNotFoundError:
            missing.append(found[0])
    if missing:
        cure = "install AFML again, from its lock file (`make setup`)"
        return failed("versions", f"not installed: {', '.join(sorted(missing))}", cure)
    shown = ", ".join(f"{name} {there[name]}" for name in _SHOWN if name in there)
    return ok("versions", f"AFML {__version__}, Python {sys.version.split()[0]}, {shown}")


def _requirements() -> list[str]:
    try:
        return importlib.metadata.requires("afml") or []
    except importlib.metadata.PackageNotFoundError:
        return ["afml"]


def memory() -> Checked:
    """What is free of the machine's memory and of this account's share of it (cgroup)."""
    total, free = psutil.virtual_memory().total, psutil.virtual_memory().available
    limit = _cgroup_limit()
    if limit is not None and limit < total:
        total, free = limit, min(free, max(0, limit - _cgroup_used()))
    told = f"{size(free)} of {size(total)} free, {len(os.sched_getaffinity(0))} processors"
    if free < MEMORY_FLOOR:
        cure = f"give it more: {size(MEMORY_FLOOR)} is what a small run takes (docs/OPERATIONS.md has a table)"
        return warning("memory", told, cure)
    return ok("memory", told)


def _cgroup_limit() -> int | None:
    return _number(_CGROUP / _own_cgroup() / "memory.max") or _number(_CGROUP / "memory.max")


def _cgroup_used() -> int:
    return _number(_CGROUP / _own_cgroup() / "memory.current") or _number(_CGROUP / "memory.current") or 0


def _own_cgroup() -> str:
    try:
        line = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[-1]
    except (OSError, IndexError):
        return ""
    return line.rpartition(":")[2].lstrip("/")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # "max": no limit
        return None


def disk(what: str, folder: Path, needed: int | None = None) -> Checked:
    """Free space where a folder is, or will be.

    Args:
        what: To call it.
        folder: It.
        needed: Bytes that a run must have room for; None where no run is known.
    """
    free = free_bytes(folder)
    told = f"{folder}: {size(free)} free" + ("" if needed is None else f", the run needs {size(needed)}")
    if needed is not None and free < needed:
        return failed(what, told, "free some, or put the folder on a larger disk")
    if free < DISK_FLOOR:
        return warning(what, told, "free some, or put the folder on a larger disk")
    return ok(what, told)


def open_files(nodes: int = 0) -> Checked:
    """How many files and connections a process of this account may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(FILES_FLOOR, 16 * nodes)
    told = "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at most"
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = "" if hard == resource.RLIM_INFINITY or hard >= needed else f", once the hard limit of {hard} is raised"
        return warning("open files", told, f"ulimit -n {needed} before the start{most}; LimitNOFILE= in a unit")
    return ok("open files", told)


def accelerator() -> Checked:
    """Whether training will use a GPU that is there."""
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return ok("GPU", f"trains on {names}")
    if devices:
        cure = "install a driver that this build of torch can use; check with nvidia-smi"
        return warning("GPU", f"{', '.join(devices)} is there and torch {torch.__version__} cannot use it", cure)
    return ok("GPU", "none: trains on the processors")


def of_machine(nodes: int, *, trains: bool) -> Iterator[Checked]:
    """All of it but the disks.

    Args:
        nodes: That connect here; 0 for a node.
        trains: Whether this is where somebody trains.
    """
    yield versions()
    yield memory()
    yield open_files(nodes)
    if trains:
        yield accelerator()
