"""The aggregator's kit as it lies in its folder: a version of the roster is known as soon as it is installed."""

from __future__ import annotations

from dataclasses import replace

from afml.consortium.history import ROSTER, History, load_history
from afml.consortium.kit import AggregatorKit
from afml.core.errors import AfmlError, ConfigError
from afml.core.logging import get_logger


class OwnKit:
    """What an aggregator that stays knows of its consortium.

    Runs keep the version that they were configured under; it is those that come later which name a newer one.

    Args:
        kit: As it was when the process began.
    """

    def __init__(self, kit: AggregatorKit) -> None:
        self._kit, self._stamp = kit, self._look(kit)

    def __call__(self) -> AggregatorKit:
        """The kit with the newest version that is installed; one that cannot be taken changes nothing, and is told."""
        if (stamp := self._look(self._kit)) != self._stamp:
            self._stamp = stamp
            try:
                history = load_history(self._kit.folder)
                _require_later(history, self._kit)
            except (AfmlError, OSError) as error:
                get_logger().error("not taken", problem=str(error))
            else:
                self._kit = replace(self._kit, roster=history.present, history=history)
                get_logger().info("roster installed", index=history.present.version)
        return self._kit

    def nodes(self) -> frozenset[int]:
        """Numbers of all who are or were members: who has left is still in runs."""
        return frozenset(self().history.numbers().values())

    @staticmethod
    def _look(kit: AggregatorKit) -> object:
        """Changes with roster.json, which an install writes once the history that it is the end of is there."""
        try:
            found = (kit.folder / ROSTER).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _require_later(history: History, kit: AggregatorKit) -> None:
    if not history.extends(kit.history) or history.present.aggregator_key != kit.roster.aggregator_key:
        raise ConfigError(
            "does not follow the roster that this aggregator serves by, or names another aggregator",
            where=kit.folder / ROSTER,
            cure="put the kit back, or start the aggregator again with its kit",
        )
