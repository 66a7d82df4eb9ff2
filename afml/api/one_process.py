"""A run whose nodes and aggregator share one process: no network, everything else as between institutions.

Every node keeps its own ledger under its own policy, spends before its update is encrypted, pads it against every
peer's and encrypts it; the sum is made by the keyless half of the backend, written to a signed transcript, decrypted,
checked and applied; nodes countersign each other's ledgers. What is missing is what one process has no use for:
connections, the messages that are signed for them, and the comparison of models, since there is one.

The task's parameters are held once. A task of another package runs in its confined processes, as at a node: one
holds the parameters, and each institution's people are in one of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.kit import AggregatorKit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import Phase, RunConfig
from afml.consortium.scheme import further_coordinates, run_params
from afml.core.files import write_bytes
from afml.core.progress import Event, Tell, untold
from afml.core.recordfile import Digested
from afml.ledger import checkpoint as notes
from afml.ledger.receipt import Receipt
from afml.ledger.store import Ledger
from afml.ledger.transcript import Appender, record_for
from afml.ledger.witness import NEVER, Witness
from afml.privacy.noise import require_cohort, round_grid
from afml.training.start import begin
from afml.training.step import Trainer, apply_total
from afml.training.task import Model, Task, TaskKind
from crypto.public.params import CodecParams
from crypto.secret import pairs as agreed
from crypto.secret.backend import Backend, Codec, backend
from crypto.secret.pads import PadKeys, Pads
from crypto.secret.sumcheck import SumCheck
from node import sender
from node.afterwards import evaluated_here, keep_with_model
from node.agreement import NO_SUMS
from node.checks import require_own_attempt, require_plausible
from node.guard import Guard, open_ledger
from node.inuse import in_use
from node.journal import Journal
from node.keys import RunKeys
from node.outbox import Outbox, Submission
from node.policy import Site
from node.privacy import PrivacyStatement, statement
from node.recognise import recognise_people
from node.sums import sum_check
from node.workspace import Holdings, Workspace


@dataclass(frozen=True)
class Place:
    """One institution's folders.

    Attributes:
        kit: Of its start kit.
        work: Its prepared work folder.
    """

    kit: Path
    work: Workspace


@dataclass(eq=False)
class _Node:
    """One institution in a run."""

    kit: NodeKit
    work: Workspace
    trainer: Trainer
    ledger: Ledger
    guard: Guard
    holdings: Holdings
    site: Site
    journal: Journal
    outbox: Outbox
    codec: Codec
    check: SumCheck

    @property
    def number(self) -> int:
        return self.kit.node

    @property
    def key(self) -> bytes:
        return bytes.fromhex(self.kit.roster.member(self.number).signing_key)


class OneProcess:
    """One run over prepared work folders.

    Args:
        run: Configured from their cards.
        kind: What it trains.
        places: Of every node of the run.
        aggregator: Kit whose key signs the transcript.
        transcript: File of that transcript.
        tell: Told what the nodes do, as a node tells it.
    """

    def __init__(
        self, run: RunConfig, kind: TaskKind, places: Sequence[Place], aggregator: AggregatorKit, transcript: Path,
        tell: Tell = untold,
    ) -> None:  # fmt: skip
        self._run, self._kind, self._places, self._tell = run, kind, places, tell
        self._params: CodecParams = run_params(run)
        self._backend: Backend = backend(run.backend)
        transcript.parent.mkdir(parents=True, exist_ok=True)
        self._transcript = Appender(transcript, aggregator.signing_key)

    def train(self) -> dict[int, PrivacyStatement]:
        """Every round with everybody; saves the model and what it cost at every institution.

        Returns:
            node -> what its people have spent, over all runs of its ledger.

        Raises:
            PolicyError: An institution does not allow the run; nothing is spent.
            BudgetError: The plan does not fit somebody's budget; nothing is spent.
            AfmlError: A task or a sum is not what it should be; the run is closed at every institution.
        """
        with in_use(*(place.work for place in self._places)):
            return self._train()

    def _train(self) -> dict[int, PrivacyStatement]:
        run = self._run
        self._kind.check(run)
        first = self._places[0].work
        task = self._kind.task(run, first.prepared().public)
        begin(task, run, [first.models])
        begin(task, run, [place.work.models for place in self._places])
        with ExitStack() as stack:
            nodes = list(self._nodes(task, stack))
            for node in nodes:
                node.guard.consider()
            for node in nodes:
                node.guard.reserve()
            self._tell(Event("keys"))
            for node in nodes:
                _vouched_for(node, nodes)
            try:
                model = self._rounds(task, nodes)
            except BaseException:
                for node in nodes:
                    node.guard.close("failed")
                    node.journal.end("training in one process failed")
                raise
            return {node.number: self._finish(node, model, nodes) for node in nodes}

    def _nodes(self, task: Task, stack: ExitStack) -> Iterator[_Node]:
        """Open every institution: ledger, policy, people, keys of the run."""
        run, shared = self._run, self._backend.make_key(self._params)
        kits = [load_node_kit(place.kit) for place in self._places]
        pads = {kit.node: PadKeys.generate() for kit in kits}
        for place, kit in zip(self._places, kits, strict=True):
            place.work.require_drawn_for(run)
            prepared = place.work.prepared(run.people)
            journal = Journal(place.work.run(run.run))
            stack.callback(journal.close)
            journal.require_not_ended()
            ledger = stack.enter_context(closing(open_ledger(place.work, kit)))
            recognise_people(ledger, place.work)
            names = prepared.people.rows(prepared.enrolled).samples
            holdings = Holdings(task, self._kind.enrolled(run, prepared), names, self._kind, prepared)
            site = Site(kit, place.kit, simulation=run.seed is not None)
            publics = {peer: key.public for peer, key in pads.items() if peer != kit.node}
            where = agreed.Place(kit.node, run.digest(), kit.roster.digest())
            # By X25519 whatever the run says: between objects of one process nothing is sent, or recorded.
            pairs = agreed.Pairs(where, pads[kit.node], publics, {})
            own = Pads(kit.node, run.digest(), pairs.secrets)
            yield _Node(
                kit, place.work, Trainer(run, task, holdings.enrolled), ledger,
                Guard(ledger, run, names, site.terms), holdings, site, journal,
                Outbox(journal.outbox, self._backend.upload_size(self._params)),
                self._backend.codec(self._params, shared, own),
                sum_check(run, RunKeys(shared, pairs), own),
            )  # fmt: skip

    def _rounds(self, task: Task, nodes: Sequence[_Node]) -> Model:
        for number in range(1, self._run.rounds + 1):
            index, phase = self._run.phase_of(number)
            if phase.needs_public:
                self._public_part(task)
            binding = Binding(self._run.run, self._run.digest(), Attempt(number, 1), self._run.nodes)
            total = self._round(task, nodes, binding, index, phase)
            apply_total(task, self._run, number, binding.cohort, total)
            for node in nodes:
                node.outbox.passed(binding.attempt)
            self._tell(Event("applied", number, self._run.rounds, phase.name))
        self._public_part(task)
        return task.model()

    def _public_part(self, task: Task) -> None:
        if not task.has_public_part:
            self._tell(Event("public"))
            told = lambda at, of: self._tell(Event("public", step=at, steps=of))  # noqa: E731
            task.load_public(task.train_public(told))

    def _round(
        self, task: Task, nodes: Sequence[_Node], binding: Binding, index: int, phase: Phase
    ) -> NDArray[np.int64]:
        """The exact sum of one attempt, as every node finds it."""
        require_cohort(self._run, len(nodes))
        sent = {node.number: self._contribute(node, binding) for node in nodes}
        totals = list(summed := Digested(self._sum([submission for _, submission in sent.values()])))
        receipts = {number: receipt.to_json() for number, (receipt, _) in sent.items()}
        now = time.time_ns() // 1_000_000
        digest = summed.digest() if self._run.verified_sums else b""
        record = record_for(
            self._run, binding.attempt, binding.cohort, time_ms=now, receipts=receipts, sum_digest=digest
        )  # fmt: skip
        self._transcript.append(record)
        for node in nodes:
            require_own_attempt(node.number, binding.attempt, binding.cohort, node.guard.spends(binding.round))
        own = (payload for _, payload in sent[nodes[0].number][1].chunks())
        bound = self._backend.bind(totals, own, len(nodes), self._params)
        decoded = nodes[0].codec.decode(bound, task.length(index) + further_coordinates(self._run))
        total = nodes[0].check.verified(decoded, binding)
        require_plausible(self._run, phase, binding.cohort, total)
        return total

    def _contribute(self, node: _Node, binding: Binding) -> tuple[Receipt, Submission]:
        """As `node.contribution`: compute, spend, encrypt, store, in this order."""
        node.guard.check(binding.round)
        update = node.trainer.update(node.number, binding.round)
        fields = update.rounded(round_grid(self._run, binding.round))
        receipt = node.guard.spend(binding)
        node.journal.keep_head(receipt.checkpoint)
        return receipt, sender.store(receipt, binding, node.check.attach(fields, binding), node.codec, node.outbox)

    def _sum(self, submissions: Sequence[Submission]) -> Iterator[bytes]:
        """What an aggregator does: add payloads chunk by chunk, without a key."""
        streams = [submission.chunks() for submission in submissions]
        for chunks in zip(*streams, strict=True):
            adder = self._backend.adder(self._params)
            for _, payload in chunks:
                self._backend.check(self._params, payload)
                adder.add(payload)
            yield adder.total()

    def _finish(self, node: _Node, model: Model, nodes: Sequence[_Node]) -> PrivacyStatement:
        model.save(node.work.model(self._run.run))
        node.guard.close("finished")
        _vouched_for(node, nodes)
        cost = statement(node.ledger, node.site.policy().lifetime.budget, node.holdings.names)
        write_bytes(node.work.privacy(self._run.run), cost.model_dump_json(indent=2).encode())
        node.journal.keep_state(self._run.rounds, NO_SUMS, node.holdings.task.state())
        node.journal.forget_keys()
        keep_with_model(node.work, self._run, node.holdings, cost)
        if told := evaluated_here(node.work, self._run, node.holdings):
            self._tell(Event("waiting", text=f"node {node.number}, {told}"))
        return cost


def _vouched_for(owner: _Node, nodes: Sequence[_Node]) -> None:
    """All others countersign the owner's newest head; as `node.witnessing`, before the first spend and after the last.

    Raises:
        IntegrityError: The owner's ledger has forgotten something, or is another one.
    """
    for peer in nodes:
        if peer is not owner:
            _countersign(owner, peer)


def _countersign(owner: _Node, peer: _Node) -> None:
    """A peer vouches for the owner's newest head, which must extend the one that it remembers."""
    note, witness = owner.ledger.checkpoint(), Witness(peer.ledger)
    known = witness.known(owner.kit.origin)
    since = known.head if known else NEVER
    if known:
        Witness(owner.ledger).require_past(known.note)
    proof = Witness(owner.ledger).proof(since.size, notes.parse(note).size)
    line = witness.countersign(owner.kit.origin, note, proof, owner.key, since)
    if line is not None:
        Witness(owner.ledger).accept(note, line, peer.kit.origin, peer.key)
