"""What keeps a task's process from keys, ledgers and the network: Landlock and seccomp, both of the Linux kernel.

Landlock (Linux 5.13) allows this process to read its own code, system libraries and the folders that it is given, to
write one scratch folder, and nothing else of the file system. A seccomp filter refuses to make sockets, to look into
other processes or to signal them, memory and queues that processes share by a number, and the interfaces by which
any of it could be done another way. Neither can be taken back, and children and later threads inherit both. A process
that cannot be confined so is not started: the guarantee says "cannot", not "should not".
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from afml.core.errors import ConfigError

_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE, _PR_SET_SECCOMP = 38, 4, 22
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_RULE_PATH_BENEATH, _VERSION_FLAG = 1, 1
# landlock.h: rights of the file system by ABI version.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_READ, _SCRATCH_EXCEPT = _EXECUTE | _READ_FILE | _READ_DIR, _EXECUTE
#: Audit architecture and numbers of the system calls that are refused, by machine.
_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "socketpair": 53, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
            "open_by_handle_at": 304, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "bpf": 321,
            "perf_event_open": 298, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438, "kcmp": 312,
            "keyctl": 250, "add_key": 248, "request_key": 249, "kill": 62, "tgkill": 234, "tkill": 200,
            "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "setpriority": 141,
            "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220,
            "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241,
            "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198, "socketpair": 199, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
            "open_by_handle_at": 265, "mount": 40, "umount2": 39, "unshare": 97, "setns": 268, "bpf": 280,
            "perf_event_open": 241, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438, "kcmp": 272,
            "keyctl": 219, "add_key": 217, "request_key": 218, "kill": 129, "tgkill": 131, "tkill": 130,
            "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "setpriority": 140,
            "shmget": 194, "shmat": 196, "shmctl": 195, "semget": 190, "semop": 193, "semctl": 191, "semtimedop": 192,
            "msgget": 186, "msgsnd": 189, "msgrcv": 188, "msgctl": 187, "mq_open": 180, "mq_unlink": 181,
            "inotify_init1": 26, "fanotify_init": 262,
        },
    ),
}  # fmt: skip
_confined: list[bool] = []  # holds one True once this process is confined, which cannot be taken back
_X32_BIT = 0x40000000  # system calls of the x32 interface reach the same kernel functions by other numbers


def available() -> bool:
    """Whether this system can confine a task."""
    return platform.machine() in _ARCHITECTURES and _landlock_version() > 0


def require() -> None:
    """Refuse to start a task that could not be confined.

    Raises:
        ConfigError: The system lacks Landlock, or is of an unknown architecture.
    """
    if not available():
        raise ConfigError(
            "this system cannot keep another package's task from keys and network (no Landlock)",
            where="task",
            cure="use Linux 5.13 or newer on x86-64 or arm64, with Landlock switched on",
        )


def confine(readable: Iterable[Path], scratch: Path) -> None:
    """Confine this process, for good.

    Args:
        readable: Files and folders that may be read and executed; those that do not exist are left out.
        scratch: The one folder that may be written.

    Raises:
        OSError: The kernel refused; or there is another thread, which neither mechanism would hold back.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise OSError(errno.EBUSY, f"cannot confine the task: its process has {threads} threads")
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_DUMPABLE, 0)  # nobody else's task may look into this process either
    _landlock(libc, [path for path in readable if path.exists()], scratch)
    _seccomp(libc)
    _confined.append(True)


def confined() -> bool:
    """Whether this is the process of another package's task."""
    return bool(_confined)


def _landlock_version() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(0, int(found))


def _landlock(libc: ctypes.CDLL, readable: Sequence[Path], scratch: Path) -> None:
    version = _landlock_version()
    handled = _ALL_BY_VERSION[max((known for known in _ALL_BY_VERSION if known <= version), default=1)]
    attributes = struct.pack("<Q", handled)
    ruleset = _call(libc, _CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path in readable:
            rights = _READ if path.is_dir() else _READ & ~_READ_DIR
            _allow(libc, ruleset, path, rights & handled)
        _allow(libc, ruleset, scratch, handled & ~_SCRATCH_EXCEPT)
        for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
            _allow(libc, ruleset, Path(device), (_READ_FILE | _WRITE_FILE) & handled)
        for gpu in sorted(Path("/dev").glob("nvidia*")):
            _allow(libc, ruleset, gpu, handled if gpu.is_dir() else (_READ_FILE | _WRITE_FILE) & handled)
        _call(libc, _RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    if not path.exists():
        return
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | (1 << 14) | (1 << 15)
        rule = struct.pack("<Qi", rights, beneath)
        _call(libc, _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(beneath)


def _seccomp(libc: ctypes.CDLL) -> None:
    """A BPF program: another architecture is killed, a listed system call fails with EPERM, all else passes."""
    architecture, numbers = _ARCHITECTURES[platform.machine()]
    refused = sorted(numbers.values())
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow, kill, refuse = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, architecture),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the number
        (at_least, 0, 1, _X32_BIT),
        (give, 0, 0, refuse),
    ]
    for index, number in enumerate(refused):
        program.append((equal, len(refused) - index, 0, number))  # to the last instruction
    program += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    instructions = ctypes.create_string_buffer(code)
    header = struct.pack("<H6xQ", len(program), ctypes.addressof(instructions))
    _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header))


def _prctl(libc: ctypes.CDLL, option: int, value: int, third: object = 0) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), third, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot confine the task: {os.strerror(code)}")


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot confine the task: {os.strerror(code)}")
    return result
