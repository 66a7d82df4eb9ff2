"""What a node must not forget during a run: its keys and the model after each round; whole files or none.

Ciphertexts on their way lie beside it in `node.outbox`.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

from afml.core.files import hold_alone, read_secret, write_secret

_ROUND = struct.Struct("<I")


class Journal:
    """The run folder of one node."""

    def __init__(self, folder: Path) -> None:
        """Open or create, owner-only.

        Raises:
            InputError: Another process has it open.
        """
        self._lock = hold_alone(folder, "afml node")  # two would draw two batches for one attempt
        self._folder = folder

    def key(self, name: str) -> bytes | None:
        """A stored key, None before it was made."""
        path = self._folder / f"{name}.key"
        return read_secret(path) if path.exists() else None

    def keep_key(self, name: str, key: bytes) -> None:
        """Store a key, mode 0600."""
        write_secret(self._folder / f"{name}.key", key)

    def close(self) -> None:
        """Let another process open it."""
        os.close(self._lock)

    def over(self, rounds: int) -> bool:
        """Whether this node has finished the run and put its keys away."""
        state = self.state()
        return state is not None and state[0] == rounds and self.key("pad") is None

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

    def public_model(self) -> bytes | None:
        """The panel part that this node made for all, None before."""
        path = self._folder / "public-model.bin"
        return path.read_bytes() if path.exists() else None

    def keep_public_model(self, blob: bytes) -> None:
        """Store the panel part before the first peer gets it: making it again might differ in a bit."""
        write_secret(self._folder / "public-model.bin", blob)

    def keep_state(self, round_number: int, state: bytes) -> None:
        """Store the model after a round."""
        write_secret(self._folder / "state.bin", _ROUND.pack(round_number) + state)
