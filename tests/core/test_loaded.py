"""What a command loads: what takes tens of megabytes, and is not needed where memory is short, stays out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import environment

LARGE = ("torch", "sklearn", "pandas", "matplotlib", "scipy.stats", "scipy.optimize")
#: A command of every kind of data: the options of all of them are looked up.
PREPARE = (
    "import afml.cli.prepare; from afml.data.kind import DATA_KINDS; [DATA_KINDS.get(n) for n in DATA_KINDS.names()]"
)
MASK = "import afml.cli.mask, node.release, afml.release.planning"


@pytest.mark.parametrize(("command", "large"), [(PREPARE, LARGE), (MASK, (*LARGE, "pyarrow", "h5py"))])
def test_preparing_and_masking_load_no_more_than_they_need(command: str, large: tuple[str, ...]) -> None:
    code = f"import sys; {command}; print([name for name in {large} if name in sys.modules])"
    # A new interpreter: a forked one has loaded everything.
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
