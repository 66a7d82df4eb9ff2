"""How long a stage may last. Time comes in from outside, as seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from afml.consortium.orders import Order, What
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.errors import ProtocolError
from aggregator.store.base import Position


class StageClock:
    """The deadline of the present stage, and how long the round has taken so far.

    Nobody waits against a clock while too few nodes are there: enrolment has a deadline from the moment that a quorum
    has enrolled, a paused run has none.

    Args:
        config: The run.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, config: RunConfig, now: Callable[[], float]) -> None:
        self._config, self._now = config, now
        self._deadline: float | None = None
        self._round_began = now()

    def enter(self, at: Position) -> None:
        """The state machine has moved: the time of its stage runs from now. Nothing that a node says resets it."""
        now = self._now()
        if at.stage is Stage.GATHERING:
            self._round_began = now
        if at.stage in (Stage.ENROLLING, Stage.PAUSED, Stage.SUMMING, Stage.FAILED):
            self._deadline = None
            return
        wait = self._config.deadline_s
        if awaits_public_part(self._config, at):
            wait = max(wait, self._config.public_deadline_s)
        if at.stage is Stage.FINISHED:
            wait = max(wait, self._config.linger_s or 0.0)
        self._deadline = now + wait

    def quorum_enrolled(self) -> None:
        """Enough nodes have enrolled: others are waited for no longer than the run's grace from the first time on."""
        if self._deadline is None:
            self._deadline = self._now() + self._config.grace_s

    def require(self, order: Order) -> None:
        """Refuse an order to extend what has no end.

        Raises:
            ProtocolError: The present stage has no deadline.
        """
        if order.what is What.EXTEND and self._deadline is None:
            cure = (
                "it waits without one; give the order again once a deadline runs (`afml status` says where it stands)"
            )
            raise ProtocolError("no deadline runs", where=f"run {self._config.run}", cure=cure)

    def follow(self, order: Order) -> None:
        """Let the present stage last longer, where an order says so and it has a deadline."""
        if order.what is What.EXTEND and self._deadline is not None:
            self._deadline += order.seconds

    @property
    def passed(self) -> bool:
        """Whether the stage has used up its time."""
        return self._deadline is not None and self._now() >= self._deadline

    @property
    def round_seconds(self) -> float:
        """Seconds since gathering for the present round began."""
        return self._now() - self._round_began


def awaits_public_part(config: RunConfig, at: Position) -> bool:
    """Whether nodes wait for the task's public part before they can be ready, or done."""
    before = sum(phase.rounds for phase in takewhile(lambda phase: not phase.needs_public, config.phases))
    needed = before < config.rounds  # by a private round; else it follows the last one
    if at.stage is Stage.FINISHED:
        return config.public_part and not needed
    return at.stage is Stage.GATHERING and needed and at.attempt.round == before + 1
