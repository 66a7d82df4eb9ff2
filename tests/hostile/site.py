"""An honest institution: the product's own policy, ledger, guard, witnessing and checks, on its own disk.

What is not the product's is the truth that it is held against: what left the institution about whom, and how little
noise of people outside the conspiracy covered it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError, ProtocolError, TransportError
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from afml.privacy.noise import require_cohort
from afml.wire import federation_pb2 as wire
from crypto.public.signing import sign
from node.agreement import NO_SUMS, require_same_model, with_sum
from node.checks import require_own_attempt, verified_cohort
from node.guard import Guard, open_ledger
from node.journal import Journal
from node.memory import KIT_HEAD, keep_in_kit
from node.policy import Site as Rules
from node.take_part import require_enrolments
from node.witnessing import Witnessing
from node.workspace import Workspace
from tests.hostile.cohort import Cohort
from tests.hostile.post import HostilePost
from tests.hostile.truth import leak_of_one

Sum = NDArray[np.int64]
LEASE = bytes(LEASE_BYTES)
"""Copies of a work folder are not what is played here (tests/federation/test_twins.py)."""


@dataclass
class Seat:
    """An honest node in one run.

    Attributes:
        names: Enrolled names, and the numbers of the persons behind them.
        sums: Digest of the sums that it applied; what a Ready says of its model.
        applied: How many.
        paid: Attempts that it spent on and whose sum it has not seen.
        bent: A sum that it was given was not the sum.
    """

    run: RunConfig
    guard: Guard
    journal: Journal
    witnessing: Witnessing
    names: dict[str, int]
    sums: bytes = NO_SUMS
    applied: int = 0
    paid: set[Attempt] = field(default_factory=set)
    bent: bool = False

    @property
    def people(self) -> list[int]:
        """Numbers of the persons behind the names: a person twice stands there twice."""
        return list(self.names.values())


class Institution:
    """One honest institution.

    Args:
        root: Its disk: policy and work folder.
        kit: Its present kit; `join` changes it for that of another consortium.
        people: Who is enrolled; a person keeps a number whatever the name.

    Attributes:
        most: Institutions that one of them may be enrolled at, by its card.
    """

    def __init__(self, root: Path, kit: NodeKit, people: int) -> None:
        self.root, self.work, self.most = root, Workspace(root / "work"), 1
        self.work.root.mkdir(parents=True, mode=0o700)
        self.join(kit)
        self.cohort = Cohort(people)
        self.ledger: Ledger | None = None
        self.seats: dict[str, Seat] = {}
        self.leaked: dict[int, float] = dict.fromkeys(range(people), 0.0)  # person -> sum of mu^2 that really left
        self.met: set[int] = set()  # persons whose record its ledger has seen
        self.withdrawn: set[int] = set()
        self.careless = False  # its own operator put an old ledger back or removed it

    @property
    def node(self) -> int:
        """Its number."""
        return self.kit.node

    def join(self, kit: NodeKit) -> None:
        """Its kit from now on; what is kept in a kit's folder stays with the institution."""
        self.kit = replace(kit, folder=self.root)

    def open(self) -> Ledger:
        """Its ledger, as the product opens it.

        Raises:
            IntegrityError: It has forgotten something.
        """
        if self.ledger is None:
            self.ledger = open_ledger(self.work, self.kit)
        return self.ledger

    def stop(self) -> None:
        """Kill the process: seats are lost, what is on disk stays."""
        for seat in self.seats.values():
            seat.journal.close()
        self.seats.clear()
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None

    def enter(self, run: RunConfig, post: HostilePost) -> Seat:
        """What `afml node` does before it is ready for the first round.

        Raises:
            AfmlError: This institution takes no part.
        """
        rules = Rules(self.kit, self.root)
        rules.terms(run)
        require_enrolments(run, self.most, "run.json")
        ledger, person_of = self.open(), dict(self.cohort.prepared())
        ledger.recognise([(name, [b"record %d" % person]) for name, person in person_of.items()])
        self.met |= set(person_of.values())
        names = ledger.enrollable(list(person_of))
        guard = Guard(ledger, run, names, rules.terms)
        guard.reserve()
        journal = Journal(self.work.run(run.run))
        try:
            journal.require_not_ended()
        except AfmlError:
            journal.close()
            raise
        witnessing = Witnessing(post.mailbox(self.kit), ledger, self.kit.roster, journal.letters)
        seat = Seat(run, guard, journal, witnessing, {name: person_of[name] for name in names})
        self.seats[run.run] = seat
        return seat

    def leave(self, run: str) -> None:
        """Its part in a run ends for good."""
        seat = self.seats.pop(run)
        seat.guard.close("left")
        seat.journal.close()

    def ready(self, seat: Seat, attempt: Attempt) -> wire.ReadyToken:
        """Its token for an attempt.

        Raises:
            AfmlError: Policy, budget or plan do not allow the round.
        """
        seat.guard.check(attempt.round)
        return token(self.kit, seat.run, attempt, seat.sums)

    def contribute(self, seat: Seat, attempt: Attempt, tokens: list[wire.ReadyToken], conspirators: set[int]) -> None:
        """Check the cohort, spend, and let the update go.

        Raises:
            AfmlError: It does not; nothing was spent.
        """
        run = seat.run
        cohort = tuple(verified_cohort(run, self.kit.roster, attempt, tokens))
        require_same_model(attempt.round, self.node, seat.sums, tokens)
        if set(cohort) - {self.node} - seat.witnessing.met:
            raise TransportError("no head of a member's ledger came")
        require_cohort(run, len(cohort))
        receipt = seat.guard.spend(Binding(run.run, run.digest(), attempt, cohort))
        seat.journal.keep_head(receipt.checkpoint)
        seat.paid.add(attempt)
        one = leak_of_one(run, attempt, honest=len(set(cohort) - conspirators))
        for person, times in Counter(seat.people).items():
            self.leaked[person] += one * times**2

    def apply(self, seat: Seat, attempt: Attempt, cohort: tuple[int, ...], total: Sum) -> None:
        """Check a published sum's place and apply it.

        Raises:
            ProtocolError: It is not this node's attempt.
        """
        own = require_own_attempt(self.node, attempt, cohort, seat.guard.spends(attempt.round))
        if attempt.round != seat.applied + 1 or not own:
            raise ProtocolError("not the next sum")
        binding = Binding(seat.run.run, seat.run.digest(), attempt, cohort)
        seat.sums, seat.applied = with_sum(seat.sums, binding, total), attempt.round
        seat.paid.discard(attempt)

    def withdraw(self, person: int) -> None:
        """What `afml withdraw` does, and its operator, who does what it says.

        Raises:
            AfmlError: The ledger cannot be opened, or preparing is refused.
        """
        name, ledger = self.cohort.name(person), self.open()
        _, traces = ledger.withdraw([name])
        if not traces.people:
            # The ledger has not met this name, and says so: the person was enrolled under an earlier one, if at all.
            enrolled = [
                known for seat in self.seats.values() for known, number in seat.names.items() if number == person
            ]
            ledger.withdraw(enrolled)
        keep_in_kit(self.kit, ledger)
        self.withdrawn.add(person)

    def known(self, origin: str) -> str:
        """The last signed head that it keeps of another ledger, "" for none."""
        known = Witness(self.open()).known(origin)
        return known.note if known else ""

    def owes_nothing(self, runs: list[RunConfig]) -> bool:
        """Whether no plan is set aside in its ledger."""
        plans = self.open().plans
        return all(plans.held(run.run) is None or plans.closed(run.run) for run in runs)

    def replace_ledger(self, copy: Path | None, *, machine: bool) -> None:
        """What a careless operator does: the ledger's folder is removed, or an old copy put in its place.

        Args:
            copy: The old one.
            machine: The rest of the machine's disk is new as well.
        """
        self.stop()
        self.careless = True
        shutil.rmtree(self.work.ledger, ignore_errors=True)
        if machine:
            shutil.rmtree(self.work.root / "runs", ignore_errors=True)
            (self.root / KIT_HEAD).unlink(missing_ok=True)
            self.withdrawn.clear()  # whoever withdrew has to be asked again: docs/AUDIT.md says so
        if copy is not None:
            shutil.copytree(copy, self.work.ledger)


def token(kit: NodeKit, run: RunConfig, attempt: Attempt, model: bytes) -> wire.ReadyToken:
    """A signed Ready."""
    signed = messages.ready(run.run, run.digest(), attempt, kit.node, model, LEASE)
    return wire.ReadyToken(
        run=run.run, config_digest=run.digest(), round=attempt.round, attempt=attempt.number, node=kit.node,
        model=model, lease=LEASE, signature=sign(kit.signing_key, signed),
    )  # fmt: skip
