"""What a node must not forget during a run: its keys and the model after each round; whole files or none.

Ciphertexts on their way lie beside it in `node.outbox`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from pathlib import Path

from afml.core.errors import ConfigError, ProtocolError
from afml.core.files import hold_alone, read_secret, write_bytes, write_secret

_STATE = struct.Struct("<8sI32s")  # what this is, last applied round, digest of the sums up to it
_KIND = b"afml st2"
_ENDED = "ended"
HEAD = "ledger-head.txt"
REFUSED = "refused-sum.json"
"""Among the letters: what this node signed of a sum that it refuses."""


def progress(folder: Path) -> tuple[int, str]:
    """Of a run folder, for who only looks while a node may work in it.

    Returns:
        Rounds whose sum the model holds, and why the run has ended here for good; 0 and "" where nothing says so.
    """
    ended, state = folder / _ENDED, folder / "state.bin"
    why = ended.read_text(encoding="utf-8", errors="replace") if ended.is_file() else ""
    with contextlib.suppress(OSError, struct.error), state.open("rb") as stored:
        kind, applied, _ = _STATE.unpack(stored.read(_STATE.size))
        return (applied if kind == _KIND else 0), why
    return 0, why


class Letters:
    """Open letters that a node has sent: the first one under a subject stands, so a later one must say the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def letter(self, name: str) -> bytes | None:
        """A letter that was sent, None before."""
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def keep_letter(self, name: str, body: bytes) -> None:
        """Store a letter before it is sent."""
        write_bytes(self._folder / name, body)


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
        return self.paid(rounds) and self.key("pad") is None

    def paid(self, rounds: int) -> bool:
        """Whether this node has applied every round, so that nothing more will be spent."""
        state = self.state()
        return state is not None and state[0] == rounds

    def end(self, why: str) -> None:
        """The run has ended here for good, without its model: keys and ciphertexts go, and it is not taken up again."""
        write_secret(self._folder / _ENDED, why.encode())  # first: a half-erased folder must not look like a new one
        self.forget_keys()

    def require_not_ended(self) -> None:
        """Refuse a run that has ended here for good.

        Raises:
            ProtocolError: It has; says why.
        """
        path = self._folder / _ENDED
        if path.exists():
            self.forget_keys()  # where the process died in between
            why = path.read_text(encoding="utf-8", errors="replace")
            cure = "have the coordinator configure a new run, under another name"
            raise ProtocolError(f"has ended here for good ({why})", where=self._folder, cure=cure)

    def forget_keys(self) -> None:
        """The run is over: its keys and stored ciphertexts go."""
        for path in self._folder.glob("*.key"):
            path.unlink()
        shutil.rmtree(self.outbox, ignore_errors=True)

    @property
    def letters(self) -> Letters:
        """The open letters that this node has sent."""
        return Letters(self._folder / "letters")

    def keep_head(self, note: str) -> None:
        """Store the ledger's head after a spend: a ledger that lacks it was rolled back (`node.memory`)."""
        write_bytes(self._folder / HEAD, note.encode())

    @property
    def outbox(self) -> Path:
        """Folder of the ciphertexts of this run's attempts."""
        return self._folder / "outbox"

    def state(self) -> tuple[int, bytes, bytes] | None:
        """(last applied round, digest of the sums up to it, model state), None at the beginning.

        Raises:
            ConfigError: Another version of AFML wrote it.
        """
        path = self._folder / "state.bin"
        if not path.exists():
            return None
        data = path.read_bytes()
        if len(data) < _STATE.size or not data.startswith(_KIND):
            raise ConfigError(
                "is of another version of AFML", where=path, cure="finish this run with the version that began it"
            )
        _, round_number, sums = _STATE.unpack_from(data)
        return round_number, sums, data[_STATE.size :]

    def public_model(self) -> bytes | None:
        """The panel part that this node made for all, None before."""
        path = self._folder / "public-model.bin"
        return path.read_bytes() if path.exists() else None

    def keep_public_model(self, blob: bytes) -> None:
        """Store the panel part before the first peer gets it: making it again might differ in a bit."""
        write_secret(self._folder / "public-model.bin", blob)

    def keep_state(self, round_number: int, sums: bytes, state: bytes) -> None:
        """Store the model after a round, and the digest of the sums in it."""
        write_secret(self._folder / "state.bin", _STATE.pack(_KIND, round_number, sums), state)
