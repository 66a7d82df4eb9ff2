"""Orders that were laid into the run's folder: checked, followed, and written into the transcript as they are."""

from __future__ import annotations

import time
from pathlib import Path

from afml.consortium.orders import Order
from afml.core.errors import AfmlError, InputError, ProtocolError
from afml.core.logging import get_logger
from aggregator.engine import Engine
from aggregator.run import ServedRun
from aggregator.store.base import now_ms
from aggregator.transcript import Transcript

SETTLED_S = 10.0
"""Seconds without a change after which a file that is no order will not become one: nobody is copying it any more."""
AHEAD_MS = 3_600_000
"""Milliseconds that the clock of who gives an order may be ahead: one from far ahead would outdate all that follow."""


class Orders:
    """The orders of one run, oldest first."""

    def __init__(self, run: ServedRun, engine: Engine, transcript: Transcript) -> None:
        self._run, self._engine, self._transcript = run, engine, transcript
        self._log = get_logger().bind(run=run.config.run)

    def follow(self) -> None:
        """Follow what is there. What is refused stays beside it as `*.refused`, and the log says why.

        Raises:
            OSError: There is no space for what is decided: the order is still there.
        """
        for path in sorted(self._run.folder.orders.glob("[!.]*.json")):
            try:
                order = Order.load(path)
                self.require(order)
                self._engine.follow(order, self._transcript.add_order)
            except AfmlError as error:
                if isinstance(error, InputError) and _is_new(path):
                    continue  # it may be half of a file that is being copied in
                self._log.warning("order refused", problem=str(error))
                path.rename(path.with_suffix(".refused"))
            else:
                self._log.warning("order followed", problem=f"{order.what} by the {order.by}")
                path.unlink()

    def require(self, order: Order) -> None:
        """Check an order before it is followed.

        Raises:
            ProtocolError: It is about another run, no newer than one that was followed, or from far ahead.
            IntegrityError: Whoever may give orders did not sign it.
        """
        order.check(self._run.config, self._run.roster)
        if order.number <= max(self._run.store.orders.all(), default=0):
            raise ProtocolError("is no newer than one that was followed already", where=f"order {order.what}")
        if order.number > now_ms() + AHEAD_MS:
            cure = "correct the clock of the machine that it was given on, and give it again"
            raise ProtocolError("is dated more than an hour ahead", where=f"order {order.what}", cure=cure)


def _is_new(path: Path) -> bool:
    return path.exists() and abs(time.time() - path.stat().st_mtime) < SETTLED_S
