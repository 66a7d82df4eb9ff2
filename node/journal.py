"""What a node must not forget during a run: its keys and the model after each round; whole files or none.

Ciphertexts on their way lie beside it in `crypto.secret.outbox`.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from afml.core.files import read_secret, write_secret

_ROUND = struct.Struct("<I")


class Journal:
    """The run folder of one node."""

    def __init__(self, folder: Path) -> None:
        """Open or create, owner-only."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def key(self, name: str) -> bytes | None:
        """A stored key, None before it was made."""
        path = self._folder / f"{name}.key"
        return read_secret(path) if path.exists() else None

    def keep_key(self, name: str, key: bytes) -> None:
        """Store a key, mode 0600."""
        write_secret(self._folder / f"{name}.key", key)

    def forget_keys(self) -> None:
        """The run is over: its keys and stored ciphertexts go."""
        for path in self._folder.glob("*.key"):
            path.unlink()
        shutil.rmtree(self.outbox, ignore_errors=True)

    @property
    def outbox(self) -> Path:
        """Folder of the ciphertexts of this run's attempts."""
        return self._folder / "outbox"

    def state(self) -> tuple[int, bytes] | None:
        """(last applied round, model state), None at the beginning."""
        path = self._folder / "state.bin"
        if not path.exists():
            return None
        data = path.read_bytes()
        return _ROUND.unpack_from(data)[0], data[_ROUND.size :]

    def keep_state(self, round_number: int, state: bytes) -> None:
        """Store the model after a round."""
        write_secret(self._folder / "state.bin", _ROUND.pack(round_number) + state)
