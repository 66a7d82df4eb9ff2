"""The moves of a run from stage to stage, as docs/DATA_MODEL.md draws them. Whoever moves holds a transaction."""

from __future__ import annotations

from afml.consortium.attempt import Attempt
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

    def gather(self, attempt: Attempt, reason: str = "") -> None:
        """An attempt begins."""
        self._store.move(Position(Stage.GATHERING, attempt, reason))

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

    def give_up(self, reason: str) -> None:
        """The present attempt is lost: gather for another one."""
        attempt = self._store.position().attempt
        self._log.warning("attempt given up", round=attempt.round, attempt=attempt.number, problem=reason)
        self.gather(attempt.next, reason)

    def fail(self, reason: str) -> None:
        """The run ends here."""
        attempt = self._store.position().attempt
        self._log.error("run failed", round=attempt.round, attempt=attempt.number, problem=reason)
        self._store.move(Position(Stage.FAILED, attempt, reason))

    def drop(self, node: int, reason: str) -> None:
        """A node leaves for good: that costs an attempt that counted on it, and the run if no quorum is left."""
        self._store.members.mark_left(node, reason)
        self._log.warning("node left", node=node, problem=reason)
        at, quorum, remaining = self._store.position(), self._config.quorum, len(self._membership.remaining())
        if at.stage.over:
            return
        if at.stage is not Stage.ENROLLING and remaining < quorum:
            self.fail(f"node {node} left ({reason}); {remaining} are left, quorum is {quorum}")
        elif at.stage is Stage.OPEN and node in self._store.attempts.cohort(at.attempt):
            self.give_up(f"node {node} left: {reason}")
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
                self.fail(f"only {present} of quorum {quorum} nodes enrolled in time")
        elif at.stage is Stage.GATHERING:
            ready = set(self._store.attempts.tokens(at.attempt))
            self._membership.missed(self._membership.awaited() - ready)
            if len(ready) >= quorum:
                self.open_if_complete(at.attempt)
            else:
                self.fail(f"round {at.attempt.round}: only {len(ready)} of quorum {quorum} nodes were ready in time")
        elif at.stage is Stage.OPEN:
            missing = self.missing(at.attempt)
            self._membership.missed(missing)
            self.give_up(f"nodes {sorted(missing)} missed the upload deadline")
        elif at.stage is Stage.FINISHED:
            self._membership.missed(self.unreported())

    def missing(self, attempt: Attempt) -> set[int]:
        """Nodes of the cohort whose update is not there."""
        return set(self._store.attempts.cohort(attempt)) - set(self._store.attempts.uploads(attempt))

    def unreported(self) -> set[int]:
        """Nodes that the run waits for, and that have not told the digest of the last model."""
        return self._membership.awaited() - set(self._store.rounds.digests(self._config.rounds))
