"""Ctrl-C, and the polite kill that a parent sends after it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests import warm
from tests.processes import REPOSITORY, environment

WORK = """
import os, signal, sys
from pathlib import Path
from afml.cli import main
from afml.core.files import staged_file


class Work:
    def main(self, prog_name, standalone_mode):
        with staged_file(Path(sys.argv[1])) as staged:
            staged.write_text("half of it")
            try:
                os.kill(os.getpid(), signal.SIGINT)
                signal.pause()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                print("cleaning up", flush=True)


main.cli = Work()
main.main()
"""


def test_a_kill_after_ctrl_c_does_not_cut_the_cleaning_short(tmp_path: Path) -> None:
    done = warm.run([sys.executable, "-c", WORK, str(tmp_path / "file")], env=environment(), cwd=REPOSITORY)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaning up\n", "afml: interrupted\n")
    assert list(tmp_path.iterdir()) == []
