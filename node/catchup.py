"""How a node keeps up: fetch every published sum, check it, apply it, store and report the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt
from afml.consortium.run import Phase
from afml.core.errors import IntegrityError, ProtocolError
from afml.core.progress import Event
from afml.training.step import apply_total
from node.checks import require_own_attempt, require_plausible
from node.party import Party
from node.public_part import require_public_part
from node.witnessing import Witnessing


class CatchUp:
    """Applies published sums in order.

    Args:
        party: The node.
        witnessing: Exchanges countersignatures after the last round.
        begin: Makes sure of what a phase needs first.
    """

    def __init__(self, party: Party, witnessing: Witnessing, begin: Callable[[Phase], None]) -> None:
        self._party, self._witnessing, self._begin = party, witnessing, begin

    def up_to(self, published: int) -> None:
        """Apply every published sum that is not applied yet.

        Raises:
            IntegrityError, ProtocolError: A sum is not this run's, or impossible; the node has left the run.
        """
        party = self._party
        while party.applied < min(published, party.run.rounds):
            round_number = party.applied + 1
            _, phase = party.run.phase_of(round_number)
            self._begin(phase)
            header, payloads = party.client.fetch(round_number)
            attempt = Attempt(round_number, header.attempt)
            cohort = party.cohort(attempt, header.cohort)
            total = self._decode(attempt, cohort, payloads)
            apply_total(party.task, party.run, round_number, cohort, total)
            party.applied = round_number
            party.keep_state()
            self.report()
            party.tell_round("applied", round_number)

    def report(self) -> None:
        """Tell the keyed digest of the model; after the last round the public part belongs to it."""
        party = self._party
        if party.applied == party.run.rounds:
            require_public_part(party)
            self._countersign()
        party.client.report_digest(party.applied, party.keys.digest_of(party.task.digest()))

    def _decode(self, attempt: Attempt, cohort: tuple[int, ...], payloads: Iterable[bytes]) -> NDArray[np.int64]:
        """The exact sum of an attempt, refused unless it is this attempt's and possible."""
        party = self._party
        _, phase = party.run.phase_of(attempt.round)
        try:
            own = self._own_chunks(attempt, cohort)
            bound = party.backend.bind(payloads, own, len(cohort), party.params)
            total = party.codec(phase).decode(bound, party.length(attempt.round))
            require_plausible(party.run, phase, cohort, total)
        except (IntegrityError, ProtocolError) as error:
            party.log.error("sum refused", round=attempt.round, attempt=attempt.number, problem=str(error))
            party.leave(error)
            raise
        return total

    def _own_chunks(self, attempt: Attempt, cohort: tuple[int, ...]) -> Iterable[bytes] | None:
        party = self._party
        if not require_own_attempt(party.kit.node, attempt, cohort, party.guard.spends(attempt.round)):
            return None
        try:
            submission = party.outbox.find(party.bind(attempt, cohort))
        except IntegrityError:
            submission = None
        if submission is None:
            party.log.warning("sent ciphertexts are gone", round=attempt.round, attempt=attempt.number)
            return None
        return (payload for _, payload in submission.chunks())

    def _countersign(self) -> None:
        """Peers vouch for each other's ledgers, this run's last spend included, while all are still here."""
        party = self._party
        party.tell(Event("witnessing"))
        try:
            self._witnessing.exchange("end", sorted(set(party.last_cohort()) - {party.kit.node}))
        except IntegrityError as error:
            party.log.error("countersignatures refused", problem=str(error))
            party.leave(error)
            raise
