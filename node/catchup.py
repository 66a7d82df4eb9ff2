"""How a node keeps up: fetch every published sum, check it, apply it, store and report the result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.reasons import Reason
from afml.consortium.refusal import Refusal
from afml.consortium.run import Phase
from afml.consortium.scheme import further_coordinates
from afml.core.errors import AfmlError, IntegrityError, ModelsDiffer, ProtocolError, SumNotVerified
from afml.core.progress import Event
from afml.core.recordfile import Digested
from afml.training.step import apply_total
from node.agreement import compare_final, with_sum
from node.checks import require_own_attempt, require_plausible, require_same_folder
from node.client import LAST_WORDS_S
from node.journal import REFUSED
from node.party import Party
from node.public_part import require_public_part
from node.room import for_state, wait_for_room
from node.witnessing import Witnessing

_COMPARED = "final-model-compared"


class CatchUp:
    """Applies published sums in order.

    Attributes:
        offence: A ledger that was found to have forgotten something after the last round. Every round is paid
            for by then: whoever holds the model says so once it is saved.
        silent: Members of the last cohort who did not say which model they hold.

    Args:
        party: The node.
        witnessing: Exchanges countersignatures after the last round.
        begin: Makes sure of what a phase needs first.
    """

    def __init__(self, party: Party, witnessing: Witnessing, begin: Callable[[Phase], None]) -> None:
        self._party, self._witnessing, self._begin = party, witnessing, begin
        self.offence: IntegrityError | None = None
        self.silent: list[int] = []

    @property
    def compared(self) -> bool:
        """Whether somebody else has said to hold the model of the last round, now or before a restart."""
        return self._party.journal.letters.letter(_COMPARED) is not None

    def up_to(self, published: int) -> None:
        """Apply every published sum that is not applied yet.

        Raises:
            IntegrityError, ProtocolError: A sum is not this run's, or impossible; the node has left the run.
            ModelsDiffer: The members of a cohort began from another model than this node's; it has left the run.
            Outdated: This work folder is an older copy of another one; the node is still in the run.
        """
        party = self._party
        while party.applied < min(published, party.run.rounds):
            round_number = party.applied + 1
            _, phase = party.run.phase_of(round_number)
            self._begin(phase)
            wait_for_room(party, party.journal.outbox, for_state(party.run))
            header, payloads = party.client.fetch(round_number)
            binding = party.agreed(Attempt(round_number, header.attempt), header.cohort)
            require_same_folder(party.kit.node, party.lease, binding, party.guard.spends(round_number))
            total = self._decode(binding, payloads)
            apply_total(party.task, party.run, round_number, binding.cohort, total)
            party.applied, party.sums = round_number, with_sum(party.sums, binding, total)
            party.keep_state()
            party.outbox.passed(binding.attempt)
            self.report()
            party.tell_round("applied", round_number)

    def report(self) -> None:
        """After the last round, whose model no Ready tells: compare it, public part and all, and report its digest."""
        party = self._party
        if party.applied < party.run.rounds:
            return
        require_public_part(party)
        party.client.patience.at_most(LAST_WORDS_S)  # the model is whole
        self._compare()
        self._countersign()
        party.client.report_digest(party.applied, party.model_digest())

    def _decode(self, binding: Binding, payloads: Iterable[bytes]) -> NDArray[np.int64]:
        """The exact sum of an attempt, refused unless it is this attempt's and possible."""
        party = self._party
        _, phase = party.run.phase_of(binding.round)
        came = Digested(payloads)
        try:
            own = self._own_chunks(binding)
            bound = party.backend.bind(came, own, len(binding.cohort), party.params)
            decoded = party.codec.decode(bound, party.length(binding.round) + further_coordinates(party.run))
            total = party.check.verified(decoded, binding)
            require_plausible(party.run, phase, binding.cohort, total)
        except SumNotVerified as error:
            party.log.error("sum refused", round=binding.round, attempt=binding.number, problem=str(error))
            self._refuse(binding.attempt, came.digest())
            raise
        except (IntegrityError, ProtocolError) as error:
            party.log.error("sum refused", round=binding.round, attempt=binding.number, problem=str(error))
            party.leave(error)
            raise
        return total

    def _refuse(self, attempt: Attempt, sum_digest: bytes) -> None:
        """Leave the run because of a sum, and keep what is signed of it: heard or not, it outlives the run."""
        party = self._party
        party.ended = True
        refusal = Refusal.signed_by(party.kit.signing_key, party.kit.node, party.run, attempt, sum_digest)
        party.journal.letters.keep_letter(REFUSED, refusal.canonical())
        with contextlib.suppress(AfmlError):
            party.client.leave(Reason.SUM_NOT_VERIFIED, refusal.notice)

    def _own_chunks(self, binding: Binding) -> Iterable[bytes] | None:
        party = self._party
        if not require_own_attempt(
            party.kit.node, binding.attempt, binding.cohort, party.guard.spends(binding.round)
        ):  # fmt: skip
            return None
        try:
            submission = party.outbox.find(binding)
        except IntegrityError:
            submission = None
        if submission is None:
            party.log.warning("sent ciphertexts are gone", round=binding.round, attempt=binding.number)
            return None
        return (payload for _, payload in submission.chunks())

    def _compare(self) -> None:
        """All who were in the last sum tell each other which model they hold."""
        party, node = self._party, self._party.kit.node
        peers = sorted(set(party.last_cohort()) - {node})
        try:
            self.silent = compare_final(party.mailbox, party.applied, node, party.model_digest(), peers)
        except ModelsDiffer as error:
            party.log.error("models differ", round=party.applied, problem=str(error))
            party.leave(error)
            raise
        if len(self.silent) < len(peers) or not peers:
            party.journal.letters.keep_letter(_COMPARED, b"")
        for peer in self.silent:
            party.log.warning("last model not compared", round=party.applied, peer=peer)
        if self.silent:
            names = ", ".join(map(str, self.silent))
            text = f"which model node {names} holds is not known: no letter came. Ask there for the digest of its card"
            party.tell(Event("witnessing", text=text))

    def _countersign(self) -> None:
        """Peers vouch for each other's ledgers, this run's last spend included, while all are still here."""
        party = self._party
        party.guard.close("finished")  # nothing more is spent: the head that peers vouch for says so
        party.tell(Event("witnessing"))
        try:
            self._witnessing.part(sorted(set(party.last_cohort()) - {party.kit.node}))
        except IntegrityError as error:
            party.log.error("countersignatures refused", problem=str(error))
            self.offence = error
