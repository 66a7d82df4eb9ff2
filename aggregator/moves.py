"""The moves of a run from stage to stage, as docs/DATA_MODEL.md draws them. Whoever moves holds a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from afml.consortium.attempt import Attempt
from afml.consortium.orders import Order, What
from afml.consortium.reasons import Cause, Reason
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.errors import ProtocolError
from afml.core.logging import get_logger
from afml.wire import federation_pb2 as wire
from aggregator.makers import Makers
from aggregator.membership import Membership
from aggregator.refusals import Refusals
from aggregator.store.base import Position, Store, now_ms


class Moves:
    """The state machine of one run in its store.

    Attributes:
        makers: Who makes what all nodes need.
        refusals: What becomes of sums that nodes refuse.
    """

    def __init__(
        self, store: Store, config: RunConfig, membership: Membership, clock: Callable[[], int] = now_ms
    ) -> None:
        """`clock`: Unix milliseconds."""
        self._store, self._config, self._membership, self._clock = store, config, membership, clock
        self.makers = Makers(store, config, membership)
        self.refusals = Refusals(store, membership, self.fail)
        self._log = get_logger().bind(run=config.run)

    def gather(self, attempt: Attempt, cause: Cause | None = None) -> None:
        """An attempt begins, unless an order holds the run; `cause` says what the one before was given up for."""
        if self.held:
            self._move(Stage.PAUSED, attempt, Cause(reason=Reason.HELD))
        else:
            self._move(Stage.GATHERING, attempt, cause)
            self._pause_if_hopeless()

    def open_if_complete(self, attempt: Attempt) -> None:
        """Fix the cohort once everybody whom the run waits for is ready, and they are a quorum."""
        ready = set(self._store.attempts.tokens(attempt))
        if self._membership.awaited() <= ready and len(ready) >= self._config.quorum:
            self._store.attempts.fix_cohort(attempt)
            self._move(Stage.OPEN, attempt)
            self._log.info("cohort fixed", round=attempt.round, attempt=attempt.number, count=len(ready))

    def resume_if_enough(self, attempt: Attempt) -> None:
        """Gather anew once a paused run has its quorum again: who has signed long ago may be gone by now."""
        if not self.held and len(self._store.attempts.tokens(attempt)) >= self._config.quorum:
            self.gather(attempt.next)

    def sum_if_complete(self, attempt: Attempt) -> bool:
        """Begin the sum once the last update of the cohort is there; True when it was. One that was lost is awaited."""
        if self._missing(attempt):
            if self._store.position().is_at(Stage.SUMMING, attempt):
                self._move(Stage.OPEN, attempt)
            return False
        self._move(Stage.SUMMING, attempt)
        return True

    def end_round(self, attempt: Attempt) -> None:
        """The sum is published: gather for the next round, or finish."""
        if attempt.round == self._config.rounds:
            self._move(Stage.FINISHED, attempt)
        else:
            self.gather(Attempt(attempt.round + 1, 1))

    def give_up(self, cause: Cause) -> None:
        """The present attempt is lost: gather for another one."""
        attempt, problem = self._store.position().attempt, cause.text(self._config.quorum)
        self._log.warning("attempt given up", round=attempt.round, attempt=attempt.number, problem=problem)
        self.gather(attempt.next, cause)

    def fail(self, cause: Cause) -> None:
        """The run ends here."""
        attempt, problem = self._store.position().attempt, cause.text(self._config.quorum)
        self._log.error("run failed", round=attempt.round, attempt=attempt.number, problem=problem)
        self._move(Stage.FAILED, attempt, cause)

    def fail_if_different(self, round_number: int, models: Mapping[int, bytes]) -> bool:
        """End the run, and say so, where nodes hold different models after a round.

        Args:
            round_number: The round; 0 for the models that the run begins with.
            models: node -> keyed digest of its model.
        """
        sides: dict[bytes, list[int]] = {}
        for node, digest in sorted(models.items()):
            sides.setdefault(digest, []).append(node)
        if len(sides) < 2:
            return False
        self.fail(Cause(reason=Reason.MODELS_DIFFER, round=round_number, sides=tuple(map(tuple, sides.values()))))
        return True

    def drop(self, node: int, reason: Reason) -> None:
        """A node leaves for good: that costs an attempt that counted on it, and the run if no quorum is left.

        Where it has left already, nothing happens.
        """
        if node not in self._membership.remaining():
            return
        self._store.members.mark_left(node, reason)
        self._log.warning("node left", node=node, problem=reason.value)
        left = Cause(reason=Reason.LEFT, sides=((node,),), because=reason)
        at, quorum = self._store.position(), self._config.quorum
        self.makers.lost(node)
        self.makers.settle()  # nobody need write to who has left
        if at.stage.over:
            return
        members = self._membership
        remaining = len(members.remaining() if at.stage is not Stage.ENROLLING else members.possible())
        if remaining < quorum:
            self.fail(left.model_copy(update={"reason": Reason.TOO_FEW_LEFT, "count": remaining}))
        elif at.stage is Stage.OPEN and node in self._store.attempts.cohort(at.attempt):
            self.give_up(left)
        elif at.stage is Stage.GATHERING and node in self._store.attempts.tokens(at.attempt):
            self.gather(at.attempt.next, left)  # its token must not be in a cohort
        elif at.stage is Stage.GATHERING:
            self.open_if_complete(at.attempt)

    def returned(self, node: int, lease: bytes) -> None:
        """Somebody is there again: it takes over from makers that are not, and has their work awaited with a deadline.

        Nobody can be ready before that work is there, so no Ready would end a pause. An attempt that another process of
        the node has joined, and that nobody has begun, is gathered anew: nobody could use that one's pads.
        """
        self.makers.returned()
        self._regather_for(node, lease)
        at, there = self._store.position(), self._membership.awaited()
        if at.stage is not Stage.PAUSED or self.held or not self.makers.at_work():
            return
        if len(there) >= self._config.quorum:
            self.gather(at.attempt.next)

    def miss(self, node: int) -> None:
        """A node goes and may come back: an attempt that counted on it is lost, and nobody waits for it meanwhile."""
        self._log.info("node went away", node=node)
        self._membership.missed({node})
        self.makers.lost(node)
        at, cause = self._store.position(), Cause(reason=Reason.AWAY, sides=((node,),))
        if at.stage is Stage.OPEN and node in self._missing(at.attempt):
            self.give_up(cause)
        elif at.stage is Stage.GATHERING and node in self._store.attempts.tokens(at.attempt):
            self.gather(at.attempt.next, cause)
        elif at.stage is Stage.GATHERING:
            self.open_if_complete(at.attempt)
            self._pause_if_hopeless()

    def overdue(self) -> None:
        """The present stage has used up its time: go on without those who are missing, or wait for them."""
        at, quorum = self._store.position(), self._config.quorum
        if at.stage is Stage.ENROLLING:
            if len(self._membership.remaining()) >= quorum:
                self.gather(Attempt(1, 1))
        elif at.stage is Stage.GATHERING:
            self._gathered_late(at.attempt)
        elif at.stage is Stage.OPEN:
            missing = self._missing(at.attempt)
            self._membership.missed(missing)
            self.give_up(Cause(reason=Reason.UPLOAD_MISSED, sides=(tuple(sorted(missing)),)))
        elif at.stage is Stage.FINISHED:
            somebody = self._store.rounds.digests(self._config.rounds)  # nobody, while the public part is not there
            self._membership.missed(self._unreported() if somebody else self.makers.at_work() or self._unreported())
            self._succeed()

    def _gathered_late(self, attempt: Attempt) -> None:
        ready = set(self._store.attempts.tokens(attempt))
        if not ready and (makers := self.makers.at_work()):  # nobody can be: that is no fault of the others
            self._membership.missed(makers)
            self._succeed()
            self.gather(attempt.next, Cause(reason=Reason.AWAY, sides=(tuple(sorted(makers)),)))
        else:
            self._membership.missed(self._membership.awaited() - ready)
            if len(ready) >= self._config.quorum:
                self.open_if_complete(attempt)
        self._pause_if_hopeless()

    def _succeed(self) -> None:
        for node in self.makers.at_work():
            self.makers.lost(node)

    # -- orders --------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether the last order of its kind holds the run."""
        said = [Order.model_validate_json(one).what for one in self._store.orders.all().values()]
        return [one for one in said if one in (What.PAUSE, What.RESUME)][-1:] == [What.PAUSE]

    def follow(self, order: Order) -> None:
        """Do what an order says; the attempt under way is finished before the run is held.

        Raises:
            ProtocolError: It cannot be followed where the run stands.
        """
        at = self._store.position()
        if at.stage.over:
            raise ProtocolError(f"run {self._config.run} is over ({at.stage})", where=f"order {order.what}")
        self._store.orders.add(order.number, order.canonical())
        if order.what is What.ABORT:
            self.fail(Cause(reason=Reason.ABORTED))
        elif order.what is What.CLOSE_ENROLMENT:
            self._close_enrolment(at)
        elif order.what is What.PAUSE and at.stage in (Stage.GATHERING, Stage.PAUSED):
            self.gather(at.attempt)
        elif order.what is What.RESUME and at.stage is Stage.PAUSED:
            self.gather(at.attempt.next if self._store.attempts.tokens(at.attempt) else at.attempt)

    def _close_enrolment(self, at: Position) -> None:
        present = len(self._membership.remaining())
        if at.stage is not Stage.ENROLLING or present < self._config.quorum:
            problem = "is closed already" if at.stage is not Stage.ENROLLING else f"has {present} nodes"
            cure = f"the run begins with a quorum of {self._config.quorum} nodes"
            raise ProtocolError(f"enrolment {problem}", where=f"run {self._config.run}", cure=cure)
        self.gather(Attempt(1, 1))

    # -- inside --------------------------------------------------------------------------------------

    def _regather_for(self, node: int, lease: bytes) -> None:
        at = self._store.position()
        token = self._store.attempts.tokens(at.attempt).get(node) if at.stage is Stage.GATHERING else None
        if token is not None and wire.ReadyToken.FromString(token).lease != lease:
            self.gather(at.attempt.next, Cause(reason=Reason.AWAY, sides=((node,),)))

    def _missing(self, attempt: Attempt) -> set[int]:
        """Nodes of the cohort whose update is not there."""
        return set(self._store.attempts.cohort(attempt)) - set(self._store.attempts.uploads(attempt))

    def _unreported(self) -> set[int]:
        """Nodes that the run waits for, and that have not told the digest of the last model."""
        return self._membership.awaited() - set(self._store.rounds.digests(self._config.rounds))

    def settled(self) -> bool:
        """Whether the model of a finished run is where it belongs: with a quorum, and with all that are waited for."""
        reported, remaining = set(self._store.rounds.digests(self._config.rounds)), self._membership.remaining()
        return not self._unreported() and len(reported & remaining) >= min(self._config.quorum, len(remaining))

    def _pause_if_hopeless(self) -> None:
        """Wait without a deadline where fewer than a quorum could be ready by now."""
        at, there = self._store.position(), self._membership.awaited()
        if at.stage is not Stage.GATHERING or len(there) >= self._config.quorum:
            return
        absent = tuple(sorted(self._membership.remaining() - there))
        cause = Cause(reason=Reason.TOO_FEW_READY, round=at.attempt.round, sides=(absent,), count=len(there))
        problem = cause.text(self._config.quorum, self._membership.names)
        self._log.warning("run paused", round=at.attempt.round, attempt=at.attempt.number, problem=problem)
        self._move(Stage.PAUSED, at.attempt, cause)

    def _move(self, stage: Stage, attempt: Attempt, cause: Cause | None = None) -> None:
        reason = cause.canonical().decode() if cause else ""
        to = Position(stage, attempt, reason, self._clock())
        self._store.move(to)
        self.makers.entering(to)
