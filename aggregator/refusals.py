"""Sums that nodes refuse: written down, and the end of the run. Whoever calls holds a transaction."""

from __future__ import annotations

from collections.abc import Callable

from afml.consortium.reasons import Cause, Reason
from afml.consortium.refusal import Refusal
from afml.consortium.stage import Stage
from afml.core.errors import ProtocolError
from aggregator.membership import Membership
from aggregator.store.base import Store


class Refusals:
    """What nodes say of published sums, by their own signatures (`Membership.leaving`)."""

    def __init__(self, store: Store, membership: Membership, fail: Callable[[Cause], None]) -> None:
        """`fail`: ends the run."""
        self._store, self._membership, self._fail = store, membership, fail

    def take(self, refusal: Refusal, written: Callable[[Refusal], None]) -> None:
        """A node leaves because of a sum, and the run ends for all, finished or not.

        Args:
            refusal: What it says, checked. Said again, it changes nothing.
            written: Writes it down for good, before anybody is told.

        Raises:
            ProtocolError: It refuses what was never published.
        """
        published = self._store.rounds.published(refusal.round)
        if published is None or published.attempt.number != refusal.attempt:
            problem = f"node {refusal.node} refuses the sum of round {refusal.round}, attempt {refusal.attempt}"
            raise ProtocolError(f"{problem}, which was not published")
        if refusal.node not in self._membership.remaining():
            return
        written(refusal)
        self._store.members.mark_left(refusal.node, Reason.SUM_NOT_VERIFIED)
        if self._store.position().stage is not Stage.FAILED:
            self._fail(Cause(reason=Reason.SUM_NOT_VERIFIED, round=refusal.round, sides=((refusal.node,),)))
