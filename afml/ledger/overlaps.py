"""Queries for people who are enrolled at two institutions: what was asked and answered about whom, before it leaves.

An `overlap` is this institution's part in the query of one run: whom it is about, and digests of the points that it
offers and asks about. An `overlap-answer` is one query of another institution, answered about these people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from afml.core.errors import BudgetError, IntegrityError
from afml.ledger.log import Log
from afml.ledger.people import People

KIND, ANSWER = "overlap", "overlap-answer"


@dataclass(frozen=True)
class OverlapQuery:
    """One institution's part in the query of a run.

    Attributes:
        run, config_digest: The run; the digest as hex.
        own: Points that it offers to compare with, as they leave; empty where it offers none.
        ask: Points that it asks about; empty where it asks nobody.
        asks: Nodes that it asks, ascending.
        answers: Nodes that it answers, ascending.
    """

    run: str
    config_digest: str
    own: bytes
    ask: bytes
    asks: tuple[int, ...]
    answers: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """What its entry says of it."""
        return {
            "kind": KIND,
            "run": self.run,
            "config_digest": self.config_digest,
            "own": _digest(self.own),
            "ask": _digest(self.ask),
            "asks": list(self.asks),
            "answers": list(self.answers),
        }


@dataclass(frozen=True)
class Asked:
    """A query of another institution.

    Attributes:
        run, config_digest: The run; the digest as hex.
        node: Who asks.
        origin: Name of its institution's ledger.
        people: How many it asks about, by the number of points.
        points: What it asks about, as it came.
    """

    run: str
    config_digest: str
    node: int
    origin: str
    people: int
    points: bytes

    def to_json(self) -> dict[str, object]:
        """Its entry."""
        return {
            "kind": ANSWER,
            "run": self.run,
            "config_digest": self.config_digest,
            "node": self.node,
            "origin": self.origin,
            "people": self.people,
            "ask": _digest(self.points),
        }


class Overlaps:
    """The queries of one ledger.

    Args:
        log: The ledger's log; every method is one transaction on it, or reads.
        people: Its tables of people.
    """

    def __init__(self, log: Log, people: People) -> None:
        self._log, self._people = log, people

    def begin(self, query: OverlapQuery, people: Iterable[str]) -> None:
        """Commit to what is offered and asked, before it leaves. Said again, it changes nothing.

        Args:
            query: What it is.
            people: Everybody whom it is about.

        Raises:
            BudgetError: Somebody has withdrawn.
            IntegrityError: Something else was said in the query of this run.
        """
        tokens = self._people.tokens(people)
        with self._log.transaction():
            self._people.refuse_withdrawn(tokens, f"query of run {query.run}")
            enrolment, commitment = self._people.enrol(tokens)
            body = {**query.to_json(), "people": len(tokens), "enrolment": commitment.hex()}
            if (before := self._found(KIND, query.run)) is None:
                self._log.add(body, {"run": query.run, "enrolment": enrolment})
            elif any(before.get(name) != value for name, value in body.items()):
                raise IntegrityError(
                    "something else was asked or offered before",
                    where=f"query for shared people of run {query.run}",
                    cure="have another run configured (`afml configure`): a run has one query",
                )

    def answer(self, query: Asked, allowed: int) -> None:
        """Write down a query before its answer leaves. Said again, it changes nothing.

        Args:
            query: Of another node.
            allowed: Most people that others may ask about, over all runs.

        Raises:
            BudgetError: They would have asked about more.
            IntegrityError: The same node asked something else before.
        """
        body, where = query.to_json(), f"query of node {query.node}"
        with self._log.transaction():
            before = self._found(ANSWER, query.run, query.node)
            if before is None:
                if (total := self.asked_about() + query.people) > allowed:
                    raise BudgetError(
                        f"others would have asked about {total} people, this site's policy allows {allowed}",
                        where=where,
                        cure="raise overlap.people in policy.toml, if this site wants it",
                    )
                self._log.add(body, {"run": query.run})
            elif any(before.get(name) != value for name, value in body.items()):
                raise IntegrityError("asks for something else than before", where=where)

    def asked_about(self) -> int:
        """How many people others have asked about, in all queries that were answered."""
        query = "SELECT body FROM entries WHERE kind = ?"
        return sum(int(json.loads(row[0])["people"]) for row in self._log.database.execute(query, (ANSWER,)))

    def _found(self, kind: str, run: str, node: int | None = None) -> dict[str, object] | None:
        query = "SELECT body FROM entries WHERE kind = ? AND run = ?"
        rows = self._log.database.execute(query, (kind, run))
        bodies: list[dict[str, object]] = [json.loads(row[0]) for row in rows]
        return next((body for body in bodies if node is None or body["node"] == node), None)


def _digest(points: bytes) -> str:
    return hashlib.sha256(points).hexdigest() if points else ""
