"""What a node gives to a round: a Ready if the spend fits, then a spent, padded, encrypted, stored update."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.run import Phase
from afml.core.errors import AfmlError, BudgetError, IntegrityError, Outdated, Superseded, TransportError, Twin
from afml.ledger.receipt import Receipt
from afml.privacy.noise import require_cohort, round_grid
from afml.wire import federation_pb2 as wire
from node import keys as run_keys
from node import sender
from node.outbox import Submission
from node.party import Party
from node.public_part import require_public_part
from node.room import for_update, wait_for_room
from node.witnessing import Witnessing


class Contribution:
    """This node's part in the attempts of a run."""

    def __init__(self, party: Party, witnessing: Witnessing) -> None:
        self._party, self._witnessing = party, witnessing
        self._joined: set[Attempt] = set()
        self._confirmed: set[int] = set()

    def begin(self, phase: Phase) -> None:
        """What a phase needs first: the keys of the run, and its public part."""
        _ = self._party.keys
        if phase.needs_public:
            require_public_part(self._party)

    def join(self, attempt: Attempt) -> None:
        """Be ready for an attempt, once.

        Raises:
            BudgetError: The round does not fit; the node has left the run.
            IntegrityError: A peer's ledger has forgotten something; the node has left the run.
            Outdated: This ledger has; the node is still in the run.
            Superseded: The attempt is gathering no more.
        """
        if attempt in self._joined:
            return
        party = self._party
        self.begin(party.run.phase_of(attempt.round)[1])
        # Once with patience; later only a look whether somebody has come back.
        self._meet(party.keys.pairs.peers, patient=not self._joined)
        if not self._has_room(attempt):
            return
        try:
            party.guard.check(attempt.round)
        except BudgetError as error:
            party.leave(error)
            raise
        party.client.ready(attempt, party.model_digest(), party.lease)
        self._joined.add(attempt)

    def contribute(self, attempt: Attempt, tokens: list[wire.ReadyToken]) -> None:
        """Give an update to an attempt whose cohort holds this node.

        Raises:
            BudgetError: The spend does not fit; the node has left the run.
            ModelsDiffer: A member is ready from another model; the node has left the run, and nothing was spent.
            Superseded: The attempt was given up meanwhile.
        """
        party = self._party
        binding = party.agreed(attempt, tokens)
        try:
            submission = party.outbox.find(binding)
            receipt = party.guard.receipt(binding)
            if (submission is None) != (receipt is None):
                # Spent but never stored whole (the process died in between), or stored without a spend.
                raise IntegrityError("ledger and stored ciphertexts disagree", where=attempt)
            if submission is None and binding.lease(party.kit.node) != party.lease:
                # Whatever that process made of it may be under way: only its own bytes could be sent again.
                raise Twin("joined by another process of this node: its last one, or one with a copy", where=attempt)
            self._confirm(binding.cohort)
        except (IntegrityError, TransportError, Twin) as error:
            self._decline(attempt, error)
            return
        self._meet(binding.cohort, patient=True)
        if strangers := set(binding.cohort) - {party.kit.node} - self._witnessing.met:
            self._decline(attempt, TransportError(f"no head of the ledgers of nodes {sorted(strangers)} came"))
            return
        if submission is None or receipt is None:
            receipt, submission = self._train(binding)
        party.tell_round("sending", attempt.round)
        sender.send(
            receipt,
            submission,
            party.kit.node,
            party.length(attempt.round),
            party.kit.signing_key,
            party.client,
        )

    def _train(self, binding: Binding) -> tuple[Receipt, Submission]:
        """Compute, spend, encrypt and store this node's update; in this order nothing leaves unrecorded."""
        party = self._party
        party.tell_round("training", binding.round)
        try:
            require_cohort(party.run, len(binding.cohort))
            update = party.trainer.update(party.kit.node, binding.round)
            fields = update.rounded(round_grid(party.run, binding.round))
        except Exception:  # before the spend: it costs nothing here, and nobody need wait for the deadline
            with contextlib.suppress(AfmlError):
                party.client.decline(binding.attempt)
            raise
        self._has_room(binding.attempt)
        self._require_wanted(binding.attempt)
        try:
            receipt = party.guard.spend(binding)
        except BudgetError as error:
            party.leave(error)
            raise
        party.journal.keep_head(receipt.checkpoint)
        party.tell_round("encrypting", binding.round)
        return receipt, sender.store(receipt, binding, party.check.attach(fields, binding), party.codec, party.outbox)

    def _decline(self, attempt: Attempt, error: AfmlError) -> None:
        log = self._party.log
        log.warning("attempt declined", round=attempt.round, attempt=attempt.number, problem=str(error))
        self._party.client.decline(attempt)

    def _meet(self, nodes: Iterable[int], *, patient: bool) -> None:
        """Check the ledgers of these nodes, and what they know of this one, before anything is spent with them."""
        party = self._party
        peers = sorted(set(nodes) - {party.kit.node})
        wait_s = min(10.0, party.run.deadline_s / 2) if patient else 0.0
        try:
            self._witnessing.meet(peers, wait_s=wait_s, waiting=party.require_going)
        except Outdated:
            raise  # of this folder, not of this institution: a newer copy of it may be about to go on
        except IntegrityError as error:
            party.leave(error)
            raise

    def _confirm(self, cohort: tuple[int, ...]) -> None:
        peers = set(cohort) - {self._party.kit.node} - self._confirmed
        run_keys.confirm(self._party, self._party.keys, sorted(peers))
        self._confirmed |= peers

    def _has_room(self, attempt: Attempt) -> bool:
        """Whether the disk has room for an update, waiting for it while the attempt is wanted."""
        party = self._party
        needed = for_update(party.run, party.backend)
        return wait_for_room(party, party.journal.outbox, needed, lambda: self._wanted(attempt))

    def _wanted(self, attempt: Attempt) -> bool:
        latest = self._party.news.latest if self._party.news else None
        return latest is None or (latest.round, latest.attempt) == attempt

    def _require_wanted(self, attempt: Attempt) -> None:
        """A last look before the spend: an attempt that was given up meanwhile, or by this node, is not paid for."""
        self._party.require_going()
        if not self._wanted(attempt):
            raise Superseded("was given up during training", where=attempt)
