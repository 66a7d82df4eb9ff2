"""How the processes of one node find each other and talk, so that no other account can join in.

They meet in a folder that only this account can read: `.processes` in the work folder, mode 0700. One file of it is the
rendezvous of one start of torchrun and holds the addresses and a random key, which never leaves that folder. Every
process keeps a shared lock on the folder, so what is in it while nobody holds the lock is of starts that are over.

They talk by gloo over the loopback interface. Every message carries an HMAC-SHA256 (RFC 2104) under that key, over its
place in the conversation, its sender and itself: it can be read by who can read loopback traffic, but neither made nor
replayed by who cannot read the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import torch
import torch.distributed as dist

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError, IntegrityError, TransportError

FOLDER = ".processes"
_LOCK = "lock"
_KEY_BYTES = 32
_TAG_BYTES = 32


class ProcessLost(TransportError):
    """A process of this node is gone, or torchrun is stopping them all."""


def lost(rank: int, size: int) -> ProcessLost:
    """The error for it, at one of the processes."""
    return ProcessLost(
        "another of them ended or hung, or torchrun was stopped",
        where=f"process {rank} of this node's {size}",
        cure="look for its message; then start the node again, it picks up where it stood",
    )


class Talk:
    """Messages between the processes of one start: the first one tells, all answer.

    Args:
        rank: This process's number, from 0.
        size: How many there are.
        key: Known to the processes of this start alone.
    """

    def __init__(self, rank: int, size: int, key: bytes) -> None:
        self.rank, self.size = rank, size
        self._key, self._turn = key, 0

    def wait_for(self, patience: timedelta) -> None:
        """How long each of the following collectives may take at this process."""
        dist.distributed_c10d._set_pg_timeout(patience)

    def tell(self, message: bytes) -> None:
        """From the first process to all others.

        Raises:
            ProcessLost: One is gone.
        """
        self._turn += 1
        sealed = self._sealed(message)
        with _together(self.rank, self.size):
            dist.broadcast(torch.tensor([len(sealed)]), 0)
            dist.broadcast(sealed, 0)

    def told(self) -> bytes:
        """What the first process tells.

        Raises:
            ProcessLost: It is gone.
            IntegrityError: It is another one, without the key.
        """
        self._turn += 1
        length = torch.zeros(1, dtype=torch.int64)
        with _together(self.rank, self.size):
            dist.broadcast(length, 0)
            sealed = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(sealed, 0)
        return self._opened(sealed, 0)

    def answer(self, message: bytes) -> None:
        """Answer what was told last.

        Raises:
            ProcessLost: The first process is gone.
        """
        with _together(self.rank, self.size):
            dist.gather(self._sealed(message), dst=0)

    def answers(self, own: bytes) -> list[bytes]:
        """At the first process: what all answer, `own` included, in their order and all of its length.

        Raises:
            ProcessLost: One is gone or did not answer in time.
            IntegrityError: One does not have the key.
        """
        sealed = self._sealed(own)
        answers = [torch.empty_like(sealed) for _ in range(self.size)]
        with _together(self.rank, self.size):
            dist.gather(sealed, answers, dst=0)
        return [self._opened(answer, rank) for rank, answer in enumerate(answers)]

    def _sealed(self, message: bytes) -> torch.Tensor:
        return torch.frombuffer(bytearray(self._tag(self.rank, message) + message), dtype=torch.uint8)

    def _opened(self, sealed: torch.Tensor, sender: int) -> bytes:
        data = sealed.numpy().tobytes()
        message = data[_TAG_BYTES:]
        if not hmac.compare_digest(data[:_TAG_BYTES], self._tag(sender, message)):
            raise IntegrityError(
                "does not know the key of this start",
                where=f"process {sender} of this node's {self.size}",
                cure="look for other programs that use this machine's loopback ports; then start the node again",
            )
        return message

    def _tag(self, sender: int, message: bytes) -> bytes:
        return hmac.digest(self._key, f"{self._turn} {sender} ".encode() + message, "sha256")


@contextlib.contextmanager
def meet(work: Path, rank: int, size: int, patience: timedelta) -> Iterator[Talk]:
    """Connect the processes of one start; part at the end.

    Args:
        work: The work folder.
        rank: This process's number, from 0.
        size: How many there are.
        patience: How long each waits for the others to come, and for messages until `Talk.wait_for`.

    Raises:
        ProcessLost: One did not come in time.
        InputError: The folder is not this account's alone.
        ConfigError: Another start of the same name is at work here.
    """
    os.environ["GLOO_SOCKET_IFNAME"] = _loopback()
    with _room(work / FOLDER) as room:
        file = room / start()
        with _together(rank, size):
            store = dist.FileStore(str(file), size)  # type: ignore[attr-defined]
            store.set_timeout(patience)
            alone = store.add(f"here {rank}", 1) == 1
        if not alone:
            raise ConfigError("another start of this node is at work here", where=work, cure="stop it first")
        try:
            with _together(rank, size):
                if rank == 0:
                    store.set("key", secrets.token_hex(_KEY_BYTES))
                key = bytes.fromhex(store.get("key").decode())
                dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=patience)
            yield Talk(rank, size, key)
        finally:
            if rank == 0:
                file.unlink(missing_ok=True)
            if dist.is_initialized():
                dist.destroy_process_group()


@contextlib.contextmanager
def _together(rank: int, size: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError:  # gloo, or the store: a connection was closed, or the time is over
        raise lost(rank, size) from None


def start() -> str:
    """A name that the processes of one start of torchrun share, whoever their parents are."""
    names = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    return hashlib.sha256(canonical_json([os.environ.get(name, "") for name in names])).hexdigest()[:16]


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """The folder, owner-only, locked as in use; emptied first where nobody else is in it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise InputError(
            "the folder where this node's processes meet is not this account's alone",
            where=folder,
            cure=f"remove it, or chmod 700 '{folder}'",
        )
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in folder.iterdir():
                if left.name != _LOCK:  # a lock that was removed would keep nobody out
                    left.unlink(missing_ok=True)
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield folder
    finally:
        os.close(handle)


def _loopback() -> str:
    """The network interface that only this machine reaches."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == "127.0.0.1" for one in addresses):
            return name
    raise ConfigError("this machine has no loopback interface", cure="run the node without torchrun")
