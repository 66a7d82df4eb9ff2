"""Who makes what all nodes need, and who is next in line where that node is lost (`afml.consortium.makers`)."""

from __future__ import annotations

from afml.consortium.makers import PUBLIC_PART, RUN_KEY, Maker
from afml.consortium.run import RunConfig
from afml.consortium.stage import Stage
from afml.core.logging import get_logger
from aggregator.deadlines import awaits_public_part
from aggregator.letters import recipients
from aggregator.membership import Membership
from aggregator.store.base import Position, Store


class Makers:
    """The makers of one run in its store. Whoever changes them holds a transaction."""

    def __init__(self, store: Store, config: RunConfig, membership: Membership) -> None:
        self._store, self._config, self._membership = store, config, membership
        self._log = get_logger().bind(run=config.run)

    def entering(self, at: Position) -> None:
        """Appoint whoever is needed from this position on: the lowest node that is there, of the last cohort if any."""
        if at.stage is Stage.ENROLLING or at.stage is Stage.FAILED:
            return
        self._appoint(RUN_KEY)
        if awaits_public_part(self._config, at):
            self._appoint(PUBLIC_PART)

    def settle(self) -> None:
        """Whoever has written to everybody has made what it was to make."""
        members = self._membership.remaining()
        for subject, maker in self._store.makers.all().items():
            letter = None if maker.done else self._store.letters.find(maker.node, subject)
            if letter is not None and members - {maker.node} <= recipients(letter):
                self._store.makers.put(subject, Maker(maker.node, done=True))

    def lost(self, node: int) -> bool:
        """A node is not there: the next one takes over what it had not made. True where one did."""
        taken = [subject for subject, maker in self._store.makers.all().items() if maker == Maker(node)]
        for subject in taken:
            there = self._membership.awaited() - {node} or self._membership.remaining() - {node}
            line = sorted(there, key=lambda one: (one < node, one))
            if line:
                self._log.warning("next in line", node=line[0], peer=node, problem=subject)
                self._store.makers.put(subject, Maker(line[0]))
        self.settle()  # its letter may have come when another was to write one
        return bool(taken)

    def returned(self) -> None:
        """Somebody is there again: it takes over from makers that are not."""
        there = self._membership.awaited()
        for maker in self._store.makers.all().values():
            if not maker.done and maker.node not in there:
                self.lost(maker.node)

    def at_work(self) -> set[int]:
        """Nodes that are to make something and have not."""
        return {maker.node for maker in self._store.makers.all().values() if not maker.done}

    def _appoint(self, subject: str) -> None:
        if subject in self._store.makers.all():
            return
        last = self._store.rounds.published(self._store.rounds.last_published())
        cohort = set(self._store.attempts.cohort(last.attempt)) if last else set()
        there = self._membership.awaited()
        line = sorted(there & cohort or there or self._membership.remaining())
        if line:
            self._store.makers.put(subject, Maker(line[0]))
