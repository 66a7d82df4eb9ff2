"""The round state machine. No sockets, no ciphertexts: decisions only, each durable before it is told.

    enrolling -> gathering(round, attempt) -> open -> summing -> gathering(round + 1, 1) -> ... -> finished
                   ^  |     ^                  |         |
              paused <-'    '-- attempt + 1 <--'---------'            any stage -> failed

A cohort is fixed from signed Ready tokens before anybody uploads. A member that misses its deadline,
leaves, declines or sends a ciphertext that cannot be added costs the attempt: the next one has fresh
pads and fresh noise. Where too few are there the run is paused, for as long as it takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.makers import Maker
from afml.consortium.orders import Order
from afml.consortium.reasons import Cause, Reason
from afml.consortium.refusal import Refusal
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.errors import ProtocolError, Superseded
from afml.core.logging import get_logger
from afml.wire import federation_pb2 as wire
from aggregator import announcements
from aggregator.deadlines import StageClock
from aggregator.membership import Membership
from aggregator.moves import Moves
from aggregator.store.base import Position, Published, Store, Upload, now_ms

DIGEST_BYTES = 32
"""Of a keyed model digest."""

Standing: TypeAlias = tuple[Position, dict[str, Maker]]
"""What everybody is told of a run."""
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _decision(
    method: Callable[Concatenate[Engine, Given], Answer],
) -> Callable[Concatenate[Engine, Given], Answer]:
    """One decision is one transaction: durable as a whole before anybody hears of it, or not made at all."""

    @functools.wraps(method)
    def decide(self: Engine, /, *given: Given.args, **named: Given.kwargs) -> Answer:
        before = self._standing()
        with self._store.transaction():
            answer = method(self, *given, **named)
        self._tell(before)
        return answer

    return decide


class Engine:
    """One run's state machine over its durable store.

    Attributes:
        version: Grows with every move; watchers wait on it.
        round_seconds: From gathering to published, for each round that this process published.
    """

    def __init__(
        self, store: Store, config: RunConfig, roster: Roster, now: Callable[[], float],
        wall: Callable[[], int] = now_ms,
    ) -> None:  # fmt: skip
        """Go on where the store stands; `now`: a monotonic clock, in seconds; `wall`: Unix milliseconds."""
        self._store, self._config = store, config
        self._membership = Membership(store.members, config, roster)
        self._moves = Moves(store, config, self._membership, wall)
        self._log = get_logger().bind(run=config.run)
        self.round_seconds: list[float] = []
        self.version = 0
        self._clock = StageClock(config, now)
        self._clock.enter(store.position())
        self._begin_grace(store.position())

    # -- what nodes say ------------------------------------------------------------------------------

    @_decision
    def enrol(self, message: wire.Enrolment) -> None:
        """Admit a node, or confirm an earlier admission.

        Raises:
            ProtocolError: Not a member of this run, too late, or enrolled before with another pad key.
            IntegrityError: The signature is not the roster key's, or the pad key none that its peers could use.
        """
        self._membership.require_enrolment(message)
        known = self._store.members.all().get(message.node)
        if known:
            if wire.Enrolment.FromString(known.enrolment).pad_key != message.pad_key:
                problem = f"node {message.node} enrolled before with another pad key: its run folder was lost"
                raise ProtocolError(problem, cure="it can take part again in the next run")
            self._membership.seen(message.node)
            self._moves.returned(message.node, message.lease)
            return
        if self._store.position().stage is not Stage.ENROLLING:
            cure = "this node is not in it: `afml run close` frees what it has set aside"
            raise ProtocolError(f"enrolment of run {message.run} is closed", cure=cure)
        self._store.members.add(message.node, message.SerializeToString(deterministic=True))
        self._log.info("enrolled", node=message.node)
        if set(self._store.members.all()) == set(self._config.nodes):
            self._moves.gather(Attempt(1, 1))

    @_decision
    def ready(self, message: wire.ReadyToken) -> None:
        """A node joins the attempt that is gathering (idempotent; a token for another one is refused).

        Tokens from different models end the run before anybody spends: no sum of theirs would serve.
        """
        self._membership.require_admitted(message)
        attempt = Attempt(message.round, message.attempt)
        signed = messages.ready(
            message.run, message.config_digest, attempt, message.node, message.model, message.lease
        )  # fmt: skip
        self._membership.require_signed(message.node, signed, message.signature)
        if len(message.model) != DIGEST_BYTES:
            raise ProtocolError(f"node {message.node} is ready from no model")
        self._membership.seen(message.node)
        at = self._store.position()
        if at.is_at(Stage.OPEN, attempt):
            if message.node in self._store.attempts.cohort(attempt):
                return
            raise Superseded(f"the cohort of {attempt} is already fixed")
        paused = at.is_at(Stage.PAUSED, attempt) and not self._moves.held
        if not paused and not at.is_at(Stage.GATHERING, attempt):
            raise Superseded(f"{attempt} is not gathering")
        self._store.attempts.add_token(attempt, message.node, message.SerializeToString(deterministic=True))
        tokens = {n: wire.ReadyToken.FromString(said) for n, said in self._store.attempts.tokens(attempt).items()}
        if tokens[message.node].lease != message.lease:
            raise Superseded(f"another process of node {message.node} has joined {attempt}")
        models = {node: token.model for node, token in tokens.items()}
        if not self._moves.fail_if_different(attempt.round - 1, models):
            (self._moves.resume_if_enough if paused else self._moves.open_if_complete)(attempt)

    @_decision
    def letter_came(self, sender: int | None = None) -> None:
        """A letter is durable: it may be the last one of somebody who makes something for all."""
        if sender is not None:
            self._membership.seen(sender)
        self._moves.makers.settle()

    @_decision
    def leave(self, message: wire.LeaveNotice, written: Callable[[Refusal], None] = lambda _: None) -> None:
        """A node leaves for good: it costs its attempt, or the run where it refuses a sum (`written` down first)."""
        said = self._membership.leaving(message)
        if isinstance(said, Refusal):
            self._moves.refusals.take(said, written)
        else:
            self._moves.drop(message.node, said)

    @_decision
    def away(self, message: wire.RunRef) -> None:
        """A node goes and may come back: nobody waits for it meanwhile.

        Raises:
            ProtocolError: It is not in the run.
        """
        self._membership.require_admitted(message)
        self._moves.miss(message.node)

    @_decision
    def decline(self, message: wire.DeclineNotice) -> None:
        """A member of a cohort gives up its attempt; said again, or too late, it changes nothing.

        Raises:
            ProtocolError: The node is not in the cohort of the attempt.
            IntegrityError: The signature is not the roster key's.
        """
        self._membership.require_admitted(message)
        attempt = Attempt(message.round, message.attempt)
        signed = messages.decline(message.run, message.config_digest, attempt, message.node)
        self._membership.require_signed(message.node, signed, message.signature)
        if message.node not in self._store.attempts.cohort(attempt):
            raise ProtocolError(f"node {message.node} is not in the cohort of {attempt}")
        if self._store.position().is_at(Stage.OPEN, attempt):
            self._moves.give_up(Cause(reason=Reason.DECLINED, sides=((message.node,),)))

    @_decision
    def report_digest(self, message: wire.ModelDigest) -> None:
        """Compare model digests across nodes; differing ones end the run."""
        self._membership.require_admitted(message)
        signed = messages.model_digest(message.run, message.config_digest, message.round, message.node, message.digest)
        self._membership.require_signed(message.node, signed, message.signature)
        if message.round > self._store.rounds.last_published():
            raise ProtocolError(f"round {message.round} is not published")
        self._store.rounds.add_digest(message.round, message.node, message.digest)
        self._moves.fail_if_different(message.round, self._store.rounds.digests(message.round))

    # -- uploads and their sum -----------------------------------------------------------------------

    def expects_upload(self, header: wire.UpdateHeader) -> bool:
        """Whether this upload is wanted; False when it is already complete.

        Raises:
            ProtocolError: Wrong round, attempt, cohort, sender or size.
        """
        self._membership.require_admitted(header)
        attempt = Attempt(header.round, header.attempt)
        if header.node in self._store.attempts.uploads(attempt):
            return False
        self._require_open(attempt)
        if header.node not in self._store.attempts.cohort(attempt):
            raise ProtocolError(f"node {header.node} is not in the cohort of {attempt}")
        if header.cohort_digest != announcements.bound(self._store, self._config, attempt).cohort_digest:
            raise ProtocolError(f"node {header.node} padded for another cohort in {attempt}")
        wanted = self._config.phase_of(attempt.round)[1].parameters
        if wanted and header.parameters != wanted:
            raise ProtocolError(f"{header.parameters} parameters announced in {attempt}, not the run's {wanted}")
        return True

    @_decision
    def uploaded(self, attempt: Attempt, upload: Upload) -> bool:
        """Record a complete upload; True when it was the last one and the sum may begin."""
        self._require_open(attempt)
        others = self._store.attempts.uploads(attempt).values()
        if any((o.chunks, o.parameters) != (upload.chunks, upload.parameters) for o in others):
            raise ProtocolError(f"node {upload.node} sent an update of another size than its peers")
        self._store.attempts.add_upload(attempt, upload)
        return self._moves.sum_if_complete(attempt)

    @_decision
    def uploads_lost(self, attempt: Attempt, nodes: Sequence[int]) -> None:
        """Updates of an attempt are gone with the machine that had them: they are awaited again."""
        for node in nodes:
            self._store.attempts.forget_upload(attempt, node)
        self._moves.sum_if_complete(attempt)

    @_decision
    def summed(self, sum_of: Published, written: Callable[[], None] = lambda: None) -> None:
        """The encrypted sum is durable: publish it, `written` down for good, and gather for the next round."""
        self.round_seconds.append(self._clock.round_seconds)
        self._store.rounds.publish(sum_of)
        self._log.info("published", round=sum_of.attempt.round, attempt=sum_of.attempt.number)
        self._moves.end_round(sum_of.attempt)
        written()

    @_decision
    def sum_failed(self, node: int, problem: str) -> None:
        """A stored ciphertext cannot be added: its sender leaves, the attempt is given up."""
        self._log.warning("ciphertext refused", node=node, problem=problem)
        self._moves.drop(node, Reason.BAD_CIPHERTEXT)
        if self._store.position().stage is Stage.SUMMING:
            self._moves.give_up(Cause(reason=Reason.BAD_CIPHERTEXT, sides=((node,),)))

    def tick(self) -> None:
        """Act on a passed deadline."""
        if self._clock.passed:
            self._decide_overdue()

    def settled(self) -> bool:
        """Whether the run is over, and if it finished well, a quorum and every node that is there have its model."""
        stage = self._store.position().stage
        return stage is Stage.FAILED or (stage is Stage.FINISHED and self._moves.settled())

    def follow(self, order: Order, written: Callable[[Order], None] = lambda _: None) -> None:
        """Do what an order says that was checked (`aggregator.orders`).

        Args:
            order: What is ordered.
            written: Writes it down for good: called once it can be followed, before anybody is told.

        Raises:
            ProtocolError: It cannot be followed where the run stands.
        """
        self._decide_order(order, written)
        self._clock.follow(order)  # now that it is durable: tried again, it must not count twice

    def _standing(self) -> Standing:
        return self._store.position(), self._store.makers.all()

    def _tell(self, before: Standing) -> None:
        if (now := self._standing()) != before:
            self.version += 1
            self._clock.enter(now[0])
        self._begin_grace(now[0])

    def _begin_grace(self, at: Position) -> None:
        if at.stage is Stage.ENROLLING and len(self._membership.remaining()) >= self._config.quorum:
            self._clock.quorum_enrolled()

    @_decision
    def _decide_overdue(self) -> None:
        self._moves.overdue()

    @_decision
    def _decide_order(self, order: Order, written: Callable[[Order], None]) -> None:
        self._moves.follow(order)
        self._clock.require(order)
        written(order)

    def _require_open(self, attempt: Attempt) -> None:
        if not self._store.position().is_at(Stage.OPEN, attempt):
            raise Superseded(f"{attempt} is not open for uploads")
