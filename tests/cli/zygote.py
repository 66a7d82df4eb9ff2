"""`afml` commands that end by themselves, as processes that were forked (see tests/warm.py)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import warm
from tests.processes import REPOSITORY, command, environment


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    def complaint(self) -> str:
        """The one line on standard error that a refusal consists of."""
        lines = self.err.splitlines()
        assert self.code not in (0, 1), f"exit code {self.code}: {self.err}"
        assert "Traceback" not in self.out + self.err, self.err
        assert len(lines) == 1, f"{len(lines)} lines: {self.err}"
        assert lines[0].startswith("afml: "), lines[0]
        return lines[0].removeprefix("afml: ")


class Zygote:
    """Starts commands one after the other."""

    def __call__(self, *arguments: object, cwd: Path | None = None) -> Outcome:
        done: subprocess.CompletedProcess[str] = warm.run(command(*arguments), env=environment(), cwd=cwd or REPOSITORY)
        return Outcome(done.returncode, done.stdout, done.stderr)
