"""Rounds that are over: at an aggregator from its transcript, at an institution from its ledger."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.attempt import Attempt
from afml.ledger.summary import Summary


@dataclass(frozen=True)
class Round:
    """One attempt of a round.

    Attributes:
        attempt: Its round and number.
        phase: That it belongs to.
        cohort: Nodes in it, ascending.
        at: When it was published, or spent, Unix seconds.
        seconds: Since the one before; None of the first.
    """

    attempt: Attempt
    phase: str
    cohort: tuple[int, ...]
    at: float
    seconds: float | None


class Transcript:
    """Reads a transcript as it grows, each line once. Signatures are the business of `afml audit verify`.

    Args:
        path: The file, there or not yet.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._rounds = path, 0, list[Round]()
        self._lock = threading.Lock()  # pages and streams ask side by side

    def rounds(self) -> Sequence[Round]:
        """Those of whole lines, in the order of the file."""
        with self._lock:
            return self._read()

    def _read(self) -> Sequence[Round]:
        if not self._path.is_file():
            self._offset, self._rounds = 0, []
            return ()
        if self._path.stat().st_size < self._offset:  # another file took its place
            self._offset, self._rounds = 0, []
        with self._path.open("rb") as lines:
            lines.seek(self._offset)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._offset += len(line)
                self._add(line)
        return tuple(self._rounds)

    def _add(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            if "cohort" not in found:  # an order, or a refused sum
                return
            at, last = found["time_ms"] / 1000, self._rounds[-1].at if self._rounds else None
            made = Round(
                attempt=Attempt(int(found["round"]), int(found["attempt"])),
                phase=str(found["phase"]),
                cohort=tuple(sorted(int(node) for node in found["cohort"])),
                at=at,
                seconds=None if last is None else at - last,
            )
        except (ValueError, KeyError, TypeError):  # damaged: the auditor's business
            return
        self._rounds.append(made)


def from_ledger(summary: Summary, run: str) -> Sequence[Round]:
    """The rounds of a run that this institution's people were spent on, in the ledger's order."""
    found: list[Round] = []
    for enrolment in summary.enrolments:
        for line in (one for each in enrolment.runs if each.run == run for one in each.rounds):
            at = dt.datetime.fromisoformat(line.time).timestamp()
            since = at - found[-1].at if found else None
            found.append(Round(line.attempt, line.phase, tuple(sorted(line.cohort)), at, since))
    return found


def took_part(rounds: Sequence[Round]) -> dict[int, int]:
    """node -> rounds that it is in the sum of, ascending by node."""
    found: dict[int, int] = {}
    for one in rounds:
        for node in one.cohort:
            found[node] = found.get(node, 0) + 1
    return dict(sorted(found.items()))


def stretches(rounds: Sequence[Round], node: int) -> list[tuple[int, int]]:
    """Where a node took part without a gap: (first, length), by place in `rounds`."""
    found: list[tuple[int, int]] = []
    for place, one in enumerate(rounds):
        if node in one.cohort:
            if found and sum(found[-1]) == place:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((place, 1))
    return found
