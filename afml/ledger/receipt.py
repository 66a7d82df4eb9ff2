"""Proof, by type, that a spend is durable: what the sending code must hold before a byte leaves."""

from __future__ import annotations

from typing import Any, NoReturn, final

from afml.consortium.attempt import Attempt
from afml.core.errors import IntegrityError

_SEAL = object()
"""Known to the ledger's store alone; nothing else may import it."""


@final
class Receipt:
    """A spend that has been appended and synced.

    There is no public constructor: only `afml.ledger.store.Ledger` issues receipts, after the commit
    that made the spend durable (or on finding such a spend again after a restart). Receipts cannot be
    changed, subclassed, copied into new values or pickled.

    Attributes:
        run: Run that the spend belongs to.
        attempt: Round and number of its attempt.
        index: Place in the ledger, from 0.
        leaf: Leaf hash of the entry, hex.
        checkpoint: Signed head that covers the entry.
    """

    __slots__ = ("attempt", "checkpoint", "index", "leaf", "run")
    run: str
    attempt: Attempt
    index: int
    leaf: str
    checkpoint: str

    def __new__(cls, seal: object = None, **fields: Any) -> Receipt:
        """Refuse everybody but the store."""
        if seal is not _SEAL:
            raise TypeError("a receipt comes from Ledger.append and from nowhere else")
        receipt = object.__new__(cls)
        for name in cls.__slots__:
            object.__setattr__(receipt, name, fields[name])
        return receipt

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a receipt is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a receipt is immutable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a receipt cannot be pickled or copied")

    def __repr__(self) -> str:
        return f"Receipt(run={self.run!r}, {self.attempt}, index={self.index})"

    def require(self, run: str, attempt: Attempt) -> None:
        """Refuse to cover anything but the spend it was issued for.

        Raises:
            IntegrityError: Another run, round or attempt.
        """
        if (self.run, self.attempt) != (run, attempt):
            raise IntegrityError(
                f"receipt is for run {self.run}, {self.attempt}",
                where=f"run {run}, {attempt}",
                cure="append the spend first",
            )

    def to_json(self) -> dict[str, object]:
        """What may leave the node: index, leaf hash and signed head. No person, no key."""
        return {"index": self.index, "leaf": self.leaf, "checkpoint": self.checkpoint}
