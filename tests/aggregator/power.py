"""Power that fails at a chosen write of SQLite, as if the machine had lost it there."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

_WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT")


class PowerCut(BaseException):
    """Nothing of this process runs any more."""


class Power:
    """Lasts for `writes` more writes; then nothing goes through, a rollback neither."""

    FULL = math.inf

    def __init__(self) -> None:
        self.writes = self.FULL

    def use(self, statement: str) -> None:
        """One statement; dies when it is a write too many."""
        if self.writes >= 0 and statement.split()[0] in _WRITES:
            self.writes -= 1
        if self.writes < 0:
            raise PowerCut

    def connect(self) -> Callable[..., sqlite3.Connection]:
        """An `sqlite3.connect` whose connections need this power."""
        power = self

        class Powered(sqlite3.Connection):
            def execute(self, statement: str, *rest: Any) -> sqlite3.Cursor:
                power.use(statement)
                return super().execute(statement, *rest)

        return partial(sqlite3.connect, factory=Powered)
