"""`afml` commands as real processes, without loading torch for each: a process that has loaded it forks.

A command runs in a child with its own arguments, folder and output, and ends with its own exit code, as it
would from a shell. The parent never computes anything, so forking it is safe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("afml.cli.prepare", "afml.cli.configure", "afml.cli.data", "afml.cli.node", "afml.cli.demo")


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

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder

    def __call__(self, *arguments: object, cwd: Path | None = None) -> Outcome:
        out, err = self._folder / "out", self._folder / "err"
        request = {"argv": [*map(str, arguments)], "cwd": str(cwd or REPOSITORY), "out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return Outcome(code, out.read_text(), err.read_text())


@contextmanager
def zygote() -> Iterator[Zygote]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=REPOSITORY, env=environment,
        )  # fmt: skip
        try:
            yield Zygote(process, Path(folder))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _child(request: dict[str, object]) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        handle = os.open(str(request[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(str(request["cwd"]))
    sys.argv = ["afml", *request["argv"]]  # type: ignore[misc]
    code = 0
    try:
        from afml.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 (as the interpreter would)
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    import importlib

    for module in MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
