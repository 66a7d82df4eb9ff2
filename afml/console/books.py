"""Whether the ledger verifies: looked at by `afml audit verify`'s own code, in a thread, and never too often."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.kit import ROSTER
from afml.core.errors import AfmlError
from afml.ledger.findings import Verification
from afml.ledger.outside import Files, KeyOptions, verify_with
from afml.operate.status import stamp_of

REST_S = 60.0
"""Seconds between two verifications, at least; more where one takes long: a run enters something every round."""
_REST = 10


@dataclass(frozen=True)
class Verified:
    """The last verification.

    Attributes:
        at: When it began, Unix seconds.
        took_s: How long it took.
        found: What it found; None where it could not be done.
        problem: Why not.
        stale: Something was entered since.
    """

    at: float
    took_s: float
    found: Verification | None
    problem: str
    stale: bool = False


class Books:
    """Verifies one ledger again once it has changed.

    Args:
        ledger: Its folder.
        kit: Holds the roster that gives all public keys.
        transcripts: Of aggregators.
    """

    def __init__(self, ledger: Path, kit: Path, transcripts: tuple[Path, ...]) -> None:
        self._ledger, self._options, self._files = ledger, KeyOptions(kit / ROSTER), Files(transcripts)
        self._lock, self._last = threading.Lock(), list[Verified]()
        self._stamp: object = None
        self._working: threading.Thread | None = None
        self._until = 0.0

    def state(self) -> Verified | None:
        """The last verification, None before the first; begins another where one is due."""
        stamp = stamp_of(self._ledger)
        with self._lock:
            idle = self._working is None or not self._working.is_alive()
            if stamp and stamp != self._stamp and idle and time.monotonic() >= self._until:
                self._working = threading.Thread(target=self._verify, args=[stamp], name="verify", daemon=True)
                self._working.start()
            last = self._last[-1] if self._last else None
            if last is None or stamp == self._stamp:
                return last
            return Verified(last.at, last.took_s, last.found, last.problem, stale=True)

    def _verify(self, stamp: object) -> None:
        at, began, found, problem = time.time(), time.monotonic(), None, ""
        try:
            found = verify_with(self._ledger, self._options, self._files)
        except (AfmlError, OSError) as error:
            problem = str(error)
        took = time.monotonic() - began
        with self._lock:
            self._last[:] = [Verified(at, took, found, problem)]
            self._stamp, self._until = stamp, time.monotonic() + max(REST_S, _REST * took)
