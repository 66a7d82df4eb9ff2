"""SIGTERM as a wish: the first one asks for an end in order, the next one makes it."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stop_in_order(stop: threading.Event) -> None:
    """Have the first SIGTERM ask for an end, and the next one make it."""
    at_once = signal.getsignal(signal.SIGTERM)

    def asked(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, at_once)  # first: what wakes up may take its time
        stop.set()

    signal.signal(signal.SIGTERM, asked)
