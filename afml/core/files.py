"""Files that are either whole or not there: stage beside the target, sync, then rename into place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from afml.core.errors import InputError

LOCK = ".lock"
"""In a folder that processes hold."""


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block ends well, else remove it.

    Companions that a writer puts beside the staged file (an index, say) are the caller's to stage too.
    """
    if path.is_dir():
        raise InputError("is a folder", where=path, cure="name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield staged
        with staged.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(staged, path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


@contextlib.contextmanager
def staged_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, its owner's alone, that takes its place when the block ends well.

    Args:
        path: The folder to be.
        replace: Whether one that is there already gives way.

    Raises:
        InputError: One is there already, and does not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield staged
        if replace and path.exists():
            shutil.rmtree(path)
        try:
            os.replace(staged, path)
        except OSError as error:
            if replace or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise InputError("is there already and is not written over", where=path, cure="start again") from None
        sync_folder(path.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield a folder beside a path for what is needed while that is made, its owner's alone; removed afterwards."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{beside.name}.scratch.", dir=beside.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file durably, or not at all."""
    with staged_file(path) as staged:
        staged.write_bytes(data)


def write_secret(path: Path, *data: bytes) -> None:
    """Write a secret file that only its owner may read (mode 0600 from its first byte on): these bytes joined."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{os.getpid()}.{path.name}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(staged, path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def read_secret(path: Path) -> bytes:
    """Read a secret file; refuse it when anybody but its owner may read or write it.

    Raises:
        InputError: The file is missing or its mode is wider than 0600.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError("key file is missing", where=path, cure="use this party's own kit") from None
    if stat.S_IMODE(mode) & 0o077:
        raise InputError(
            f"key file is readable by others (mode {stat.S_IMODE(mode):04o})",
            where=path,
            cure=f"chmod 600 '{path}'",
        )
    return path.read_bytes()


def require_private(folder: Path) -> Path:
    """Return `folder`, which may not exist yet; refuse one that other accounts may read, enter or write.

    Raises:
        InputError: They may; the cure is the command that ends it.
    """
    if folder.is_dir() and (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o077:
        raise InputError(f"folder is open to others (mode {mode:04o})", where=folder, cure=f"chmod 700 '{folder}'")
    return folder


def hold_alone(folder: Path, what: str) -> int:
    """Keep `folder` to this process until it ends; returns the handle that holds it.

    Raises:
        InputError: Another process works in it; `what` names it.
    """
    return _hold(folder, fcntl.LOCK_EX, f"another {what} works in this folder")


def hold_together(folder: Path, problem: str) -> int:
    """Keep `folder` from who wants it alone, beside others who hold it so; returns the handle that holds it.

    Raises:
        InputError: Somebody has it alone; says `problem`.
    """
    return _hold(folder, fcntl.LOCK_SH, problem)


def _hold(folder: Path, how: int, problem: str) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = folder / LOCK
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            os.close(handle)
            raise InputError(problem, where=folder, cure="stop it first") from None
        os.close(handle)  # the folder was put aside in between: hold the one that is there now


def require_other(out: Path, read: Iterable[Path]) -> Path:
    """Return `out`, a file to write; refuse one that is also read, which would be lost.

    Raises:
        InputError: It is.
    """
    if out.exists() and any(path.exists() and out.samefile(path) for path in read):
        raise InputError("is read, and would be written over", where=out, cure="give another --out")
    return out


def read_text(path: Path, what: str, cure: str = "check the path") -> str:
    """The text of a file, without the byte-order mark that editors put before it.

    Raises:
        InputError: As `require_file`, or it is not text.
    """
    try:
        return require_file(path, what, cure).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what} is not text", where=path, cure=cure) from None


def require_file(path: Path, what: str, cure: str = "check the path") -> Path:
    """Return `path` when it is a readable file.

    Raises:
        InputError: It is missing, a folder, or unreadable.
    """
    if not path.exists():
        raise InputError(f"{what} does not exist", where=path, cure=cure)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise InputError(f"{what} is not a readable file", where=path, cure=cure)
    return path
