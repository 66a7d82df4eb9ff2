"""What masking a file takes: no torch where a release is by risk scores alone, nor what only attacks need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import genomes_mask
from tests.processes import environment

PEOPLE, SITES = 300, 60
CODE = f"""
import sys
from pathlib import Path
from benchmarks.genomes_mask import mask
assert mask(Path(sys.argv[1]), {PEOPLE}, {SITES})["peak_mb"] > 0
print([name for name in ("torch", "sklearn", "pandas", "scipy.optimize", "scipy.stats") if name in sys.modules])
"""


def test_masking_by_risk_scores_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    genomes_mask.prepare(tmp_path, PEOPLE, SITES)
    command = [sys.executable, "-c", CODE, str(tmp_path)]  # a new interpreter: a forked one has loaded everything
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
