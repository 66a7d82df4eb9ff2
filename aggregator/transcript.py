"""The signed record of published rounds and of orders, which auditors hold against the nodes' ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium.attempt import Attempt
from afml.consortium.orders import Order
from afml.consortium.run import RunConfig
from afml.ledger.transcript import Appender, GivenOrder, record_for
from aggregator.store.base import now_ms


class Transcript:
    """Appends each published round and each order once, also when a restart comes to it again.

    Raises:
        IntegrityError: The file was altered.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._appender = Appender(path, key)

    def add(self, config: RunConfig, attempt: Attempt, receipts: Mapping[int, Mapping[str, object]]) -> None:
        """Record an attempt whose sum is durable.

        Args:
            config: The run.
            attempt: What was summed.
            receipts: node -> the receipt it sent, of every node in the sum.

        Raises:
            IntegrityError: The file was changed meanwhile, or holds another attempt of this round.
        """
        record = record_for(config, attempt, sorted(receipts), time_ms=now_ms(), receipts=receipts)
        if not self._appender.holds(record):
            self._appender.append(record)

    def add_order(self, order: Order) -> None:
        """Record an order that can be followed, before anybody is told of it.

        Raises:
            IntegrityError: The file was changed meanwhile.
        """
        record = GivenOrder(order=order, time_ms=now_ms())
        if not self._appender.holds(record):
            self._appender.append(record)
