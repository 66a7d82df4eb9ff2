"""Verifier: runs that were open in a backup which was put back. What was lost with the ledger is charged, not known.

The ledger closes such a run as lost, and counts its whole plan as spent. The aggregator's transcript may hold rounds of
it, and heads that came with them, from entries that the backup does not have: neither is a rollback as long as the plan
covers those rounds. Everything else that others hold is checked as of any ledger.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from afml.ledger.transcript import PublishedRound

LOST = "lost"
Mechanisms: TypeAlias = Tally[tuple[float, float]]
"""(sample rate, noise multiplier) -> steps."""


def tally(events: Iterable[Any]) -> Mechanisms:
    """Steps of the mechanisms of events in entries."""
    found = Mechanisms()
    for event in events:
        if isinstance(event, dict):
            kind = float(event.get("sample_rate", 1.0)), float(event.get("noise_multiplier", 0.0))
            found[kind] += int(event.get("steps", 1))
    return found


class Lost:
    """The lost runs of one ledger.

    Args:
        bodies: Its entries.
    """

    def __init__(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        self._begins = dict[str, int]()  # run -> the first entry that the backup did not have
        self._closed, begins = dict[str, int](), 0
        for position, body in enumerate(bodies):
            if not _closes(body):
                begins = position + 1
                continue
            self._begins[str(body.get("run"))] = begins  # all that a restore closes, it closes at once
            self._closed[str(body.get("run"))] = position
        self._left = dict[str, Mechanisms]()
        self._enrolments = dict[str, str]()
        for body in bodies:
            run = str(body.get("run"))
            if run in self._begins and body.get("kind") == "reservation":
                self._left.setdefault(run, Mechanisms()).update(tally(body.get("plan", ())))
                self._enrolments[run] = str(body.get("enrolment"))
            if run in self._begins and body.get("kind") == "spend":
                self._left.setdefault(run, Mechanisms()).subtract(tally([body.get("mechanism")]))
        self._rounds = {run: _by_rate(left) for run, left in self._left.items()}
        self.excused = Tally[str]()

    def charged(self, before: int) -> Iterator[tuple[str, Mechanisms]]:
        """(enrolment, what is charged beside its spends) of each run that was closed as lost before an entry."""
        for run, closed in self._closed.items():
            if closed < before and run in self._enrolments:
                yield self._enrolments[run], +self._left[run]

    def knows_not(self, r: PublishedRound, node: int | None) -> bool:
        """Whether what a node sent to a published round was paid for by an entry that the backup did not have."""
        receipt = None if node is None else r.receipts.get(node)
        return r.run in self._begins and receipt is not None and receipt.index >= self._begins[r.run]

    def excuses(self, r: PublishedRound, node: int) -> bool:
        """Whether a published round was lost with the ledger, and is within what its people are charged; once each."""
        left = self._rounds.get(r.run, Tally())
        if not self.knows_not(r, node) or left[r.sample_rate] < 1:
            return False
        left[r.sample_rate] -= 1
        self.excused[r.run] += 1
        return True


def _closes(body: Mapping[str, Any]) -> bool:
    return body.get("kind") == "closing" and body.get("reason") == LOST


def _by_rate(mechanisms: Mechanisms) -> Tally[float]:
    """Sample rate -> steps: a transcript does not say which multiplier a site counts by."""
    found = Tally[float]()
    for (rate, _), steps in mechanisms.items():
        found[rate] += steps
    return found
