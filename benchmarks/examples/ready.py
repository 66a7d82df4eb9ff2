"""What the measurement needs before it starts: the examples as installed packages, and their data."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.examples.example import EXAMPLES, Example, known

SURVIVAL = "scikit-survival>=0.28,<0.29"
"""Ships the flchain table; its code is not imported, so that what it depends on is not installed."""
_QUIET = ("--quiet", "--disable-pip-version-check", "--no-deps")


def install(build: Path, pretrain: Sequence[object] = ()) -> Path:
    """Install the examples anew into a folder of their own, and put it before everything else on the path.

    Args:
        build: Holds that folder, and the network that is frozen, which is trained where it is not there yet.
        pretrain: Options of the adapter's pretrain.py.

    Returns:
        The folder.
    """
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    frozen = build / "frozen.npz"
    if not frozen.exists():
        print("training the network that the adapter example freezes", flush=True)
        build.mkdir(parents=True, exist_ok=True)
        made = frozen.with_name("frozen.part.npz")
        _python(EXAMPLES / "adapter" / "pretrain.py", "--out", made, *pretrain)
        made.replace(frozen)
    with tempfile.TemporaryDirectory() as folder:
        for name in known():
            copy = Path(folder) / name  # building leaves files beside a source
            shutil.copytree(
                EXAMPLES / name, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "data", "*.npz")
            )
            if name == "adapter":
                shutil.copy(frozen, copy / "afml_adapter" / "frozen.npz")
            _pip("--no-build-isolation", "--no-index", "--target", str(site), str(copy))
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    others = [str(Path.cwd()), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *others])
    return site


def data(example: Example, build: Path, exomes: Path) -> Path:
    """Where make_data.py of an example wrote; it is run where there is nothing yet."""
    out = build / example.name / "data"
    if out.exists():
        return out
    further: list[object] = []
    if example.name == "flchain" and importlib.util.find_spec("sksurv") is None:
        survival = build / "survival"
        _pip("--target", str(survival), SURVIVAL)
        os.environ["PYTHONPATH"] = os.pathsep.join([os.environ["PYTHONPATH"], str(survival)])
    if example.name == "exomes":
        vcf, people = "1kg_grch38_exome_common_maf1pct.2503.vcf.gz", "panel_2504.tsv"
        further = ["--vcf", exomes / vcf, "--people", exomes / people]
    part = out.with_name("data.part")
    shutil.rmtree(part, ignore_errors=True)
    _python(example.root / "make_data.py", "--out", part, *further)
    part.rename(out)
    return out


def commit() -> str:
    """The commit that is measured, "-dirty" where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES).stdout.strip() or "unknown"


def _pip(*options: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", *_QUIET, *options], check=True)


def _python(script: Path, *options: object) -> None:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.environ.get("PYTHONPATH", "") or str(Path.cwd()),
    }
    subprocess.run([sys.executable, str(script), *map(str, options)], check=True, env=environment)
