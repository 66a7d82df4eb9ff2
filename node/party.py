"""One node in one run: what the parts of a session share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from afml.consortium.attempt import Attempt, Binding
from afml.consortium.lease import draw_lease
from afml.consortium.nodekit import NodeKit
from afml.consortium.reasons import Cause, Reason
from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from afml.consortium.stage import Stage
from afml.core.errors import AfmlError, ModelsDiffer, ProtocolError
from afml.core.logging import get_logger
from afml.core.progress import Event, Kind, Tell, untold
from afml.training.step import Trainer
from afml.training.task import Task
from afml.wire import federation_pb2 as wire
from crypto.secret.backend import Backend, Codec
from crypto.secret.pads import Pads
from crypto.secret.sumcheck import SumCheck
from node import keys as run_keys
from node.agreement import NO_SUMS, require_same_model
from node.announcements import Announcements
from node.checks import verified_cohort
from node.client import Client
from node.guard import Guard
from node.journal import Journal
from node.mailbox import Mailbox
from node.outbox import Outbox
from node.sums import sum_check


@dataclass(eq=False)
class Party:
    """A node that takes part.

    Attributes:
        kit: Its keys.
        run: The run configuration.
        trainer: Its task on its own people.
        guard: Its people's budget.
        journal: What it must not forget.
        client: Its connection to the aggregator.
        backend: How updates are hidden in the sum.
        tell: Told what it is doing.
        applied: Rounds whose sum its parameters hold.
        sums: Digest of those sums (`node.agreement.with_sum`).
        news: The run's announcements, once it watches them.
        ended: Whether its part has ended for good: the run has failed, or it has left.
        lease: The nonce of this process. In memory alone: whoever copies the work folder must not have it.
    """

    kit: NodeKit
    run: RunConfig
    trainer: Trainer
    guard: Guard
    journal: Journal
    client: Client
    backend: Backend
    tell: Tell = untold
    applied: int = 0
    sums: bytes = NO_SUMS
    news: Announcements | None = None
    ended: bool = False
    lease: bytes = field(default_factory=draw_lease, repr=False)
    _digest: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        self.params = run_params(self.run)
        self.mailbox = Mailbox(self.client, self.kit, self.run)
        self.outbox = Outbox(self.journal.outbox, self.backend.upload_size(self.params))
        self.log = get_logger().bind(run=self.run.run, node=self.kit.node)
        stored = self.journal.state()
        if stored is not None:
            self.applied, self.sums, state = stored
            self.task.load_state(state)

    @property
    def task(self) -> Task:
        """What is trained."""
        return self.trainer.task

    @property
    def has_keys(self) -> bool:
        """Whether the run's keys were agreed since this process started."""
        return "keys" in self.__dict__

    @cached_property
    def keys(self) -> run_keys.RunKeys:
        """The run's keys, agreed when they are first needed.

        Raises:
            TransportError, IntegrityError, ProtocolError: A peer or the aggregator did not play its part.
        """
        agreed = run_keys.agree(self)
        self.tell(Event("keys"))
        return agreed

    @cached_property
    def codec(self) -> Codec:
        """This node's codec of the run."""
        return self.backend.codec(self.params, self.keys.shared, self._pads)

    @cached_property
    def check(self) -> SumCheck:
        """What goes with this node's updates so that their sums can be verified."""
        return sum_check(self.run, self.keys, self._pads)

    @property
    def _pads(self) -> Pads:
        return Pads(self.kit.node, self.run.digest(), self.keys.pairs.secrets, self.lease)

    def length(self, round_number: int) -> int:
        """Length of the update vector of a round."""
        return self.task.length(self.run.phase_of(round_number)[0])

    def bind(self, attempt: Attempt, cohort: Mapping[int, bytes]) -> Binding:
        """An attempt of this run by a cohort: node -> nonce of its process."""
        return Binding(self.run.run, self.run.digest(), attempt, tuple(cohort), tuple(cohort.values()))

    def agreed(self, attempt: Attempt, tokens: Sequence[wire.ReadyToken]) -> Binding:
        """An attempt of the next round, by its members' own signatures, all from this node's model.

        Raises:
            ProtocolError, IntegrityError: See `node.checks.verified_cohort`.
            ModelsDiffer: Nodes hold different models; this one has left the run.
        """
        cohort = verified_cohort(self.run, self.kit.roster, attempt, tokens)
        try:
            require_same_model(attempt.round, self.kit.node, self.model_digest(), tokens)
        except ModelsDiffer as error:
            self.log.error("models differ", round=attempt.round, attempt=attempt.number, problem=str(error))
            self.leave(error)
            raise
        return self.bind(attempt, cohort)

    def model_digest(self) -> bytes:
        """Keyed digest of the model as it stands, and of every sum in it."""
        if not self._digest:
            self._digest = self.keys.digest_of(self.task.digest(), self.sums)
        return self._digest

    def last_cohort(self) -> tuple[int, ...]:
        """Nodes in the last published sum: still there a moment ago; before the first one, all that enrolled."""
        if not self.applied:
            return (self.kit.node, *self.keys.pairs.peers)
        header, _ = self.client.fetch(self.applied)
        return tuple(verified_cohort(self.run, self.kit.roster, Attempt(self.applied, header.attempt), header.cohort))

    def tell_round(self, kind: Kind, round_number: int) -> None:
        """Tell what is being done for a round."""
        _, phase = self.run.phase_of(round_number)
        self.tell(Event(kind, round_number, self.run.rounds, phase.name))

    def keep_state(self) -> None:
        """Store the parameters as they stand after `applied` rounds. Whatever changes them calls this."""
        self._digest = b""
        self.journal.keep_state(self.applied, self.sums, self.task.state())

    def require_going(self, state: wire.RunState | None = None) -> None:
        """End this node's part when the run has failed, or when this node is to stop.

        Raises:
            ProtocolError: It has; says why.
            Stopped: It is.
        """
        self.client.patience.require_wanted()
        state = state or (self.news.latest if self.news else None)
        if state is not None and Stage.of(state.stage) is Stage.FAILED:
            self.ended = True
            raise ProtocolError(f"has failed, says the aggregator: {self.why(state)}", where=f"run {self.run.run}")

    def why(self, state: wire.RunState) -> str:
        """What an announcement gives as its cause, in words that name institutions."""
        return Cause.of(state.cause, self.run.nodes).text(self.run.quorum, self.kit.roster.names)

    def leave(self, error: AfmlError) -> None:
        """Leave the run for good; what made this node leave matters more than whether that is heard."""
        self.ended = True
        with contextlib.suppress(AfmlError):
            self.client.leave(Reason.of_error(error))
