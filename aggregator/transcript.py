"""The signed record of published rounds, orders and refused sums, which auditors hold against the nodes' ledgers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.orders import Order
from afml.consortium.refusal import Refusal
from afml.consortium.run import RunConfig
from afml.ledger.transcript import Appender, GivenOrder, Record, RefusedSum, record_for
from aggregator.store.base import now_ms
from crypto.public.signing import sign


class Transcript:
    """Appends each published round, order and refused sum once, also when a restart comes to it again.

    Args:
        path: The file.
        key: Of the aggregator.
        keep: Called with the file when it may have grown, within the decision that it grew for.

    Raises:
        IntegrityError: The file was altered.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey, keep: Callable[[Path], None] = lambda _: None) -> None:
        self._appender, self._path, self._keep = Appender(path, key), path, keep
        self._key = key

    def add(
        self, config: RunConfig, attempt: Attempt, receipts: Mapping[int, Mapping[str, object]],
        sum_digest: bytes = b"",
    ) -> None:  # fmt: skip
        """Record an attempt whose sum is durable.

        Args:
            config: The run.
            attempt: What was summed.
            receipts: node -> the receipt it sent, of every node in the sum.
            sum_digest: Of its ciphertexts, in runs whose sums are verified.

        Raises:
            IntegrityError: The file was changed meanwhile, or holds another attempt of this round.
        """
        record = record_for(
            config, attempt, sorted(receipts), time_ms=now_ms(), receipts=receipts, sum_digest=sum_digest
        )  # fmt: skip
        self._add(record)

    def add_order(self, order: Order) -> None:
        """Record an order that can be followed, before anybody is told of it.

        Raises:
            IntegrityError: The file was changed meanwhile.
        """
        self._add(GivenOrder(order=order, time_ms=now_ms()))

    def add_refusal(self, refusal: Refusal) -> None:
        """Record what a node says of a sum, before anybody is told of it.

        Raises:
            IntegrityError: The file was changed meanwhile.
        """
        self._add(RefusedSum(refusal=refusal, time_ms=now_ms()))

    def closed_enrolment(self, config: RunConfig, nodes: Sequence[int]) -> bytes:
        """The aggregator's signature, by the key of the transcript, under who is in a run for good.

        Args:
            config: The run.
            nodes: Ascending.
        """
        return sign(self._key, messages.closed_enrolment(config.run, config.digest(), nodes))

    def _add(self, record: Record) -> None:
        if not self._appender.holds(record):
            self._appender.append(record)
        self._keep(self._path)  # also one that was there: the process may have died in between
