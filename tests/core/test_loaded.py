"""What a command loads: what takes tens of megabytes, and is not needed where memory is short, stays out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import environment

LARGE = ("torch", "sklearn", "pandas", "pyarrow", "h5py", "matplotlib", "scipy.stats", "scipy.optimize")


@pytest.mark.parametrize(
    "modules", ["afml.cli.prepare, afml.genomics.kind", "afml.cli.mask, node.release, afml.release.planning"]
)
def test_preparing_and_masking_load_no_more_than_they_need(modules: str) -> None:
    code = f"import sys, {modules}; print(sorted(set({LARGE}) & set(sys.modules)))"
    command = [sys.executable, "-c", code]  # a new interpreter: a forked one has loaded everything
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
