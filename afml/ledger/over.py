"""A run that is over at a site: why, how far it came, and what it spent of each person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from afml.core.bounded import at_most
from afml.ledger.log import Log
from afml.ledger.reservation import Reason
from afml.ledger.told import iso
from afml.privacy.events import from_json, reserved
from afml.privacy.ple import Ple, ple

_OF_RUN = "SELECT body FROM entries WHERE run = ? AND kind IN ('reservation', 'spend', 'closing') ORDER BY idx"
_WHY: dict[Reason, str] = {
    "finished": "it is finished",
    "failed": "it failed, as the aggregator said",
    "left": "this site left it",
    "expired": "the time that this site's policy gives to a run was up",
    "by-hand": "somebody here closed it",
    "lost": "it was open in a backup of the ledger that was put back",
}


@dataclass(frozen=True)
class Over:
    """What a ledger says of a run that is closed in it.

    Attributes:
        reason: Why it was closed.
        time_ms: When: Unix milliseconds, by the clock of the ledger.
        rounds: The last round that something was spent on; 0 for none.
        attempts: Spends, lost attempts included.
        cost: Of each person who was enrolled in it, by itself, in sigma and epsilon: what was spent, and of a run that
            is lost its whole plan; None where it was a simulation, which nothing bounds, or nothing was spent.
        simulation: Whether it was one.
    """

    reason: Reason
    time_ms: int
    rounds: int
    attempts: int
    cost: Ple | None
    simulation: bool

    def lines(self, rounds: int) -> Iterator[str]:
        """In plain words.

        Args:
            rounds: Of the whole run.
        """
        lost, at = self.reason == "lost", "before its first round"
        if self.rounds:
            at = f"at round {self.rounds} of {rounds}{' or later' if lost else ''}"
        yield f"over here since {iso(self.time_ms)}, {at}: {_WHY[self.reason]}"
        if self.simulation:
            yield "insecure: simulation. No figure says what it has spent"
        elif self.cost is None:
            yield "it has spent nothing here"
        else:
            what = "its whole plan: nobody can say what was spent of it" if lost else f"attempts: {self.attempts}"
            sigma, epsilon = at_most(self.cost.sigma), at_most(self.cost.epsilon)
            yield (
                f"by itself it has spent at most {sigma} sigma (epsilon {epsilon}) at delta {self.cost.delta:g} of "
                f"each person who was enrolled in it ({what})"
            )

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "reason": self.reason,
            "since": iso(self.time_ms),
            "round": self.rounds,
            "attempts": self.attempts,
            "ple_sigma": None if self.cost is None else self.cost.sigma,
            "epsilon": None if self.cost is None else self.cost.epsilon,
        }


def over(log: Log, run: str, config_digest: str, delta: float) -> Over | None:
    """How a run ended at this site; None where it may go on or begin.

    Args:
        log: The ledger.
        run: Its name.
        config_digest: Hex digest of its configuration: another one of the same name is another run.
        delta: Of the cost.
    """
    with log._lock:
        rows = log.database.execute(_OF_RUN, (run,)).fetchall()
    bodies: list[dict[str, Any]] = [json.loads(raw) for (raw,) in rows]
    its = [body for body in bodies if body["config_digest"] == config_digest]
    closing = next((body for body in its if body["kind"] == "closing"), None)
    if closing is None:
        return None
    spends = [body for body in its if body["kind"] == "spend"]
    charged = [from_json(body["mechanism"]) for body in spends]
    if closing["reason"] == "lost":
        plans = [body["plan"] for body in its if body["kind"] == "reservation"]
        charged = reserved([from_json(event) for plan in plans for event in plan], charged)
    simulation = any(body.get("insecure") for body in its)
    return Over(
        reason=closing["reason"],
        time_ms=int(closing["time_ms"]),
        rounds=max((int(body["round"]) for body in spends), default=0),
        attempts=len(spends),
        cost=None if simulation or not charged else ple(charged, delta),
        simulation=simulation,
    )
