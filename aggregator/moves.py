"""The moves of a run from stage to stage, as docs/DATA_MODEL.md draws them. Whoever moves holds a transaction."""

from __future__ import annotations

from collections.abc import Mapping

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Cause, Reason
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.logging import get_logger
from aggregator.membership import Membership
from aggregator.store.base import Position, Store


class Moves:
    """The state machine of one run in its store."""

    def __init__(self, store: Store, config: RunConfig, membership: Membership) -> None:
        self._store, self._config, self._membership = store, config, membership
        self._log = get_logger().bind(run=config.run)

    def gather(self, attempt: Attempt, cause: Cause | None = None) -> None:
        """An attempt begins; `cause` says what the one before was given up for."""
        self._store.move(Position(Stage.GATHERING, attempt, _kept(cause)))

    def open_if_complete(self, attempt: Attempt) -> None:
        """Fix the cohort once everybody whom the run waits for is ready, and they are a quorum."""
        ready = set(self._store.attempts.tokens(attempt))
        if self._membership.awaited() <= ready and len(ready) >= self._config.quorum:
            self._store.attempts.fix_cohort(attempt)
            self._store.move(Position(Stage.OPEN, attempt))
            self._log.info("cohort fixed", round=attempt.round, attempt=attempt.number, count=len(ready))

    def sum_if_complete(self, attempt: Attempt) -> bool:
        """Begin the sum once the last update of the cohort is there; True when it was."""
        if self.missing(attempt):
            return False
        self._store.move(Position(Stage.SUMMING, attempt))
        return True

    def end_round(self, attempt: Attempt) -> None:
        """The sum is published: gather for the next round, or finish."""
        if attempt.round == self._config.rounds:
            self._store.move(Position(Stage.FINISHED, attempt))
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
        self._store.move(Position(Stage.FAILED, attempt, _kept(cause)))

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
        """A node leaves for good: that costs an attempt that counted on it, and the run if no quorum is left."""
        self._store.members.mark_left(node, reason)
        self._log.warning("node left", node=node, problem=reason.value)
        left = Cause(reason=Reason.LEFT, sides=((node,),), because=reason)
        at, quorum, remaining = self._store.position(), self._config.quorum, len(self._membership.remaining())
        if at.stage.over:
            return
        if at.stage is not Stage.ENROLLING and remaining < quorum:
            self.fail(left.model_copy(update={"reason": Reason.TOO_FEW_LEFT, "count": remaining}))
        elif at.stage is Stage.OPEN and node in self._store.attempts.cohort(at.attempt):
            self.give_up(left)
        elif at.stage is Stage.GATHERING:
            self.open_if_complete(at.attempt)

    def overdue(self) -> None:
        """The present stage has used up its time: go on without those who are missing, or end."""
        at, quorum = self._store.position(), self._config.quorum
        if at.stage is Stage.ENROLLING:
            present = len(self._store.members.all())
            if present >= quorum:
                self.gather(Attempt(1, 1))
            else:
                self.fail(Cause(reason=Reason.TOO_FEW_ENROLLED, count=present))
        elif at.stage is Stage.GATHERING:
            ready = set(self._store.attempts.tokens(at.attempt))
            self._membership.missed(self._membership.awaited() - ready)
            if len(ready) >= quorum:
                self.open_if_complete(at.attempt)
            else:
                self.fail(Cause(reason=Reason.TOO_FEW_READY, round=at.attempt.round, count=len(ready)))
        elif at.stage is Stage.OPEN:
            missing = self.missing(at.attempt)
            self._membership.missed(missing)
            self.give_up(Cause(reason=Reason.UPLOAD_MISSED, sides=(tuple(sorted(missing)),)))
        elif at.stage is Stage.FINISHED:
            self._membership.missed(self.unreported())

    def missing(self, attempt: Attempt) -> set[int]:
        """Nodes of the cohort whose update is not there."""
        return set(self._store.attempts.cohort(attempt)) - set(self._store.attempts.uploads(attempt))

    def unreported(self) -> set[int]:
        """Nodes that the run waits for, and that have not told the digest of the last model."""
        return self._membership.awaited() - set(self._store.rounds.digests(self._config.rounds))


def _kept(cause: Cause | None) -> str:
    return cause.canonical().decode() if cause else ""
