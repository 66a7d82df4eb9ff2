"""Python commands as real processes, without loading torch for each: a process that has loaded everything forks.

`Popen` starts `python -m MODULE ...` and `python -c CODE ...` that way, and whatever else as subprocess does. Such a
process is a child of whoever asked for it, with arguments, environment, folder, files, signals and an exit code of its
own; it can be waited for and killed like any other. Only what the kernel tells of an interpreter's start is not its
own: cmdline, environ and mapped libraries in /proc. Tests of those use `subprocess`, and so does a whole federation in
tests/federation/test_run.py.

The process that forks never computes anything, has one thread, and ends with the one that it serves.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any

from afml.core.children import die_with_parent
from afml.training.foreign.process import TaskProcess
from afml.trial.processes import Team
from node.serving.child import Child

REPOSITORY = Path(__file__).resolve().parents[1]
#: What commands import. None is a module of `afml.cli`: those read the tables that tests/extending adds lines to.
MODULES = (
    "afml.audit.mechanism", "afml.audit.run", "afml.data.source", "afml.genomics.partition", "afml.ledger.outside",
    "afml.masking.kind", "afml.masking.task", "afml.privacy.prv", "afml.tasks.module", "afml.training.foreign.proxy",
    "afml.training.processes.worker", "afml.trial.assess", "afml.trial.demo", "aggregator.server", "node.prepare",
    "node.release", "node.serving.daemon", "node.take_part", "rich.progress", "rich.table", "scipy.optimize",
    "scipy.stats", "sklearn",
    "torch._dynamo",  # the first optimiser of a process loads it, which takes more than a second
)  # fmt: skip
#: What starts no process of its own that would be forked; each of the others is given a process that forks for it.
ALONE = "afml.training.foreign.child"
MARK = "AFML_TEST_MARK"
_PR_SET_CHILD_SUBREAPER = 36
_MESSAGE, _FILES = 1 << 20, 64


class _Server:
    """The other end of the process that forks."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()
        # A forked process's own parent ends at once: the kernel then gives it to the next process above that says so.
        if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError("this kernel gives orphans to nobody but init")

    def start(self, request: dict[str, Any], files: list[int]) -> int:
        """Have a process forked; returns its number once it is a child of this one."""
        data = json.dumps(request | {"parent": os.getpid()}).encode()
        with self._lock:
            socket.send_fds(self._connection, [data], files)
            answer = self._connection.recv(64)
        if not answer:
            raise RuntimeError("the process that forks commands is gone")
        return int(answer)


_server: _Server | None = None


def _serving() -> _Server:
    """The server of this process; the first who asks starts it."""
    global _server
    if _server is None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = tempfile.mkdtemp(prefix="afml-tests-")
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "tests.warm", str(theirs.fileno()), folder]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], cwd=REPOSITORY,
            env=os.environ | threads, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
        theirs.close()
        _server = _Server(ours)
        atexit.register(lambda: (ours.close(), process.wait(30), shutil.rmtree(folder, ignore_errors=True)))
    return _server


class Popen(subprocess.Popen[Any]):
    """As subprocess's; Python commands are forked where that can be done."""

    def _execute_child(self, *given: Any) -> None:
        told = inspect.signature(super()._execute_child).bind(*given).arguments  # type: ignore[misc]
        command = [os.fspath(word) for word in told["args"]]
        ours = command[0] == sys.executable and command[1:2] in (["-m"], ["-c"])
        if not ours or told["preexec_fn"] not in (None, die_with_parent):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        streams = [told["p2cread"], told["c2pwrite"], told["errwrite"]]
        files = [own if fd == -1 else fd for own, fd in enumerate(streams)] + list(told["pass_fds"])
        request = {
            "command": command[1:], "cwd": os.fspath(told["cwd"] or os.getcwd()),
            "environment": dict(os.environ if told["env"] is None else told["env"]),
            "session": bool(told["start_new_session"]), "dies": told["preexec_fn"] is not None,
            "passed": list(told["pass_fds"]),
        }  # fmt: skip
        try:
            self.pid = _serving().start(request, files)
            self._child_created = True
        finally:
            self._close_pipe_fds(*given[10:16])  # type: ignore[attr-defined]


def run(command: list[str], *, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it says."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Popen(command, **pipes | options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


# -- the process that forks --------------------------------------------------------------------------


def _serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C goes to everybody; the tests end this one
    while True:
        data, files, _, _ = socket.recv_fds(connection, _MESSAGE, _FILES)
        if not data:
            return
        between = os.fork()
        if between == 0:
            if os.fork() != 0:
                os._exit(0)
            _become(json.loads(data), files, connection)
        for descriptor in files:
            os.close(descriptor)
        os.waitpid(between, 0)


def _become(request: dict[str, Any], files: list[int], connection: socket.socket) -> None:
    """Be the process that was asked for; never returns."""
    code = 1
    try:
        while os.getppid() != request["parent"]:
            time.sleep(0.001)
        if request["dies"]:
            die_with_parent()
        if request["session"]:
            os.setsid()
        connection.send(str(os.getpid()).encode())
        connection.detach()
        _keep(dict(zip([0, 1, 2, *request["passed"]], files, strict=True)))
        _settle(request)
        code = _code(request["command"])
    except BaseException:  # noqa: BLE001 (as the interpreter would)
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _keep(files: dict[int, int]) -> None:
    """Have these open files, each under the number that it is asked for, and no others."""
    above = max(files) + 1
    apart = {number: fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for number, descriptor in files.items()}
    for number, descriptor in apart.items():
        os.dup2(descriptor, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in files:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(int(name))


def _settle(request: dict[str, Any]) -> None:
    """Environment, folder, search path and signals as at an interpreter's start."""
    global _server
    _server = None
    if request["command"][1] != ALONE:  # what it starts are to be its own children
        _server = _nested()
    environment = request["environment"]
    os.environ.clear()
    os.environ.update(environment)
    if MARK in environment:  # where `tests.processes.alive` finds it; kept open until the end
        os.memfd_create(f"{MARK}={environment[MARK]}")
    tempfile.tempdir = None  # its own TMPDIR says where
    os.chdir(request["cwd"])
    paths = [request["cwd"], *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:0] = [path for path in paths if path not in sys.path]
    importlib.invalidate_caches()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threads = environment.get("OMP_NUM_THREADS", "1")
    if threads != "1":
        sys.modules["torch"].set_num_threads(int(threads))


def _nested() -> _Server:
    """A process that forks for this one: the same as this one's, before this one does anything."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.detach()
        die_with_parent()
        nothing = os.open(os.devnull, os.O_RDWR)
        _keep({0: nothing, 1: nothing, 2: nothing, theirs.fileno(): theirs.fileno()})
        _serve(theirs)
        os._exit(0)
    theirs.close()
    return _Server(ours)


def _code(command: list[str]) -> int:
    """Run `-m MODULE ...` or `-c CODE ...`; the exit code."""
    option, what, *rest = command
    try:
        if option == "-m":
            sys.argv = [what, *rest]
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *rest]
            sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    from tests import memo, warm  # this module under the name that others import it by

    memo.share_compositions(Path(sys.argv[2]))

    Team.launch = TaskProcess.launch = Child.launch = warm.Popen
    gc.collect()
    gc.freeze()  # collections in the children leave these pages shared
    warm._serve(socket.socket(fileno=int(sys.argv[1])))
