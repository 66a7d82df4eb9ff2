"""Where a run stands, as the process that works on it writes it down every few seconds: `afml status` reads it.

A standing is a small JSON file, replaced whole and not synced: it tells an operator what goes on and decides nothing.
A file that has not been written for `STALE_S` seconds is of a process that was killed, hangs, or lost its machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, ValidationError

from afml.core.config import Settings, complaint
from afml.core.errors import InputError
from afml.core.files import require_file

FILE = "standing.json"
BEAT_S = 5.0
"""Seconds after which a standing is written again although nothing has changed."""
STALE_S = 30.0
"""Seconds after which whoever should have written is taken for gone."""


class Standing(Settings):
    """What every process says of itself. Times are Unix seconds by its own clock.

    Attributes:
        file: Its name, where it is kept.
        consortium: Whose it is.
        version: Of AFML.
        process: Its number in its own system or container.
        started: When it began.
        written: When this was written.
        ended: Why it has stopped, in one line; "" while it goes on.
        certificate_expires: When its TLS certificate does.
    """

    file: ClassVar[str] = FILE

    consortium: str
    version: str
    process: int = Field(default_factory=os.getpid)
    started: float
    written: float
    ended: str = ""
    certificate_expires: float

    def alive(self, now: float) -> bool:
        """Whether the process that wrote this still writes; one from the future is of a clock that was set back."""
        return not self.ended and abs(now - self.written) < STALE_S

    def keep(self, folder: Path) -> None:
        """Put it into `folder`, in place of the one before; where the disk takes nothing, the old one stays."""
        path = folder / self.file
        staged = path.with_name(f".{os.getpid()}.{self.file}")
        try:
            staged.write_bytes(self.canonical())
            os.replace(staged, path)
        except OSError:
            pass
        finally:  # also where somebody interrupts the process right here
            staged.unlink(missing_ok=True)

    @classmethod
    def found(cls, folder: Path) -> Self:
        """The standing in `folder`.

        Raises:
            InputError: There is none, or it is of another version of AFML.
        """
        path = require_file(folder / cls.file, "standing of a run", "name the folder of a run that has been started")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            cure = "use the version of AFML that serves the run"
            raise InputError(f"is of another version of AFML ({complaint(error)})", where=path, cure=cure) from None
