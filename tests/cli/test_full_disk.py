"""A disk without space: one line, and nothing is left behind that would be in the way once there is some."""

from __future__ import annotations

import sys
from pathlib import Path

from afml.trial.kits import make_kits
from tests import warm
from tests.processes import REPOSITORY, afml, environment

LIMITED = """
import resource, sys
from afml.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # SQLite's first page is larger
main()
"""


def test_a_ledger_that_finds_no_space_is_one_line_and_begins_later(tmp_path: Path) -> None:
    make_kits(tmp_path / "kits", "test", 3)
    words = ["ledger", "begin", str(tmp_path / "ledger"), "--kit", str(tmp_path / "kits" / "node-1")]
    done = warm.run([sys.executable, "-c", LIMITED, *words], env=environment(), cwd=REPOSITORY)
    assert done.returncode == 1
    assert done.stderr.startswith("afml: a database cannot be written (")
    assert done.stderr.count("\n") == 1
    assert afml(*words).returncode == 0
