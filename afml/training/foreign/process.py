"""Starting a task's process, and asking it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from afml.core import errors
from afml.core.children import die_with_parent
from afml.core.errors import AfmlError, ProtocolError
from afml.training.foreign import sandbox
from afml.training.foreign.buffer import SharedBuffer
from afml.training.foreign.messages import Message, receive, send

if TYPE_CHECKING:
    from afml.training.registry import InstalledTask

#: What a task's process gets of this one's environment.
_PASSED = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LOCAL_RANK")
_PASSED_PREFIXES = ("OPENBLAS_", "MKL_")
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/proc/cpuinfo",
    "/proc/meminfo", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/sys/fs/cgroup",
)  # fmt: skip


class TaskProcess:
    """A confined process that serves one task.

    Args:
        task: What it imports.
        readable: Folders and files of data that it may read.

    Attributes:
        launch: What starts it: `subprocess.Popen`, or something that takes what it takes and is one.
    """

    launch: ClassVar[type[subprocess.Popen[bytes]]] = subprocess.Popen

    def __init__(self, task: InstalledTask, readable: Iterable[Path] = ()) -> None:
        sandbox.require()
        self._name = task.kind
        self._scratch = Path(tempfile.mkdtemp(prefix="afml-task-"))
        asks, requests = os.pipe()
        answers, gives = os.pipe()
        self._shared = SharedBuffer.made()
        log = os.open(self._scratch / "task.log", os.O_WRONLY | os.O_CREAT, 0o600)
        inherited = (asks, gives, self._shared.descriptor)
        command = [sys.executable, "-m", "afml.training.foreign.child", *map(str, inherited)]
        self._process = self.launch(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            env=_environment(self._scratch),
            cwd=self._scratch,
            preexec_fn=die_with_parent,
        )
        for descriptor in (asks, gives, log):
            os.close(descriptor)
        self._requests, self._answers = os.fdopen(requests, "wb"), os.fdopen(answers, "rb")
        self._end = weakref.finalize(self, _stop, self._process, self._scratch, self._shared)
        allowed = [*_code(task), *(path.resolve() for path in readable)]
        fields = {"readable": list(map(str, allowed)), "scratch": str(self._scratch), "task": asdict(task)}
        self._send(Message("begin", fields))

    def ask(self, name: str, fields: dict[str, Any] | None = None, arrays: Sequence[NDArray[Any]] = ()) -> Message:
        """One request and its answer.

        Raises:
            ProtocolError: The process is gone, or its task raised an error; says where, never with what message.
            AfmlError: The task refused, in an error of ours.
        """
        self._send(Message(name, fields or {}, arrays))
        answer = receive(self._answers, self._shared)
        if answer is None:
            raise self._gone()
        if answer.name == "refused":
            kind = getattr(errors, str(answer.fields.get("type")), ProtocolError)
            problem, cure = str(answer.fields.get("problem")), str(answer.fields.get("cure"))
            raise (kind if issubclass(kind, AfmlError) else ProtocolError)(problem, where=self._where, cure=cure)
        if answer.name != "ok":
            raise ProtocolError(
                f"failed: {answer.fields.get('what')}",
                where=self._where,
                cure="mend the task's package; the run can be taken up again",
            )
        return answer

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and remove its scratch folder."""
        with contextlib.suppress(OSError):
            self._requests.close()
        self._end()

    @property
    def _where(self) -> str:
        return f"task {self._name}"

    def _send(self, message: Message) -> None:
        try:
            send(self._requests, message, self._shared)
        except OSError:
            raise self._gone() from None

    def _gone(self) -> ProtocolError:
        code = self._process.wait()
        return ProtocolError(
            f"its process ended with code {code}", where=self._where, cure="start again; mend the task if it ends again"
        )


def _environment(scratch: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    paths = [path for path in sys.path if path]
    return kept | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",  # else numpy starts threads when it is imported, before the process is confined
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
    }


def _code(task: InstalledTask) -> list[Path]:
    """What the process may read to run: interpreter, libraries, our packages, the task's own."""
    import afml
    import crypto
    from afml.training.registry import package_roots

    site = [Path(path) for path in {sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]}]
    ours = [Path(str(package.__file__)).parent for package in (afml, crypto)]
    return [
        *(Path(prefix) for prefix in {sys.prefix, sys.base_prefix}),
        *site,
        *ours,
        *package_roots(task.module, own=False),
        *map(Path, _SYSTEM),
    ]


def _stop(process: subprocess.Popen[bytes], scratch: Path, shared: SharedBuffer) -> None:
    with contextlib.suppress(OSError):
        process.kill()
        process.wait()
    shared.close()
    shutil.rmtree(scratch, ignore_errors=True)
