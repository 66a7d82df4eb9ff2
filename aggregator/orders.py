"""Orders that were laid into the run's folder: checked, written into the transcript, followed."""

from __future__ import annotations

from afml.consortium.orders import Order
from afml.core.errors import AfmlError, ProtocolError
from afml.core.logging import get_logger
from aggregator.engine import Engine
from aggregator.run import ServedRun
from aggregator.transcript import Transcript


class Orders:
    """The orders of one run, oldest first."""

    def __init__(self, run: ServedRun, engine: Engine, transcript: Transcript) -> None:
        self._run, self._engine, self._transcript = run, engine, transcript
        self._log = get_logger().bind(run=run.config.run)

    def follow(self) -> None:
        """Follow what is there. What is refused stays beside it as `*.refused`, and the log says why."""
        for path in sorted(self._run.folder.orders.glob("[!.]*.json")):
            try:
                order = Order.load(path)
                self.require(order)
                self._transcript.add_order(order)
                self._engine.follow(order)
            except AfmlError as error:
                self._log.warning("order refused", problem=str(error))
                path.rename(path.with_suffix(".refused"))
            else:
                path.unlink()

    def require(self, order: Order) -> None:
        """Check an order before it is written down.

        Raises:
            ProtocolError: It is about another run, or no newer than one that was followed.
            IntegrityError: Whoever may give orders did not sign it.
        """
        order.check(self._run.config, self._run.roster)
        if order.number <= max(self._run.store.orders.all(), default=0):
            raise ProtocolError("is no newer than one that was followed already", where=f"order {order.what}")
