"""Releases: what was released, whether that may be, what a next release may tell, and what attacks found later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from afml.core.errors import InputError, ReleaseError
from afml.ledger import simulation
from afml.ledger.joint import JointGroups, Nesting, joint_groups, nested_in, standing
from afml.ledger.log import Log
from afml.ledger.people import People, accounts_by_name
from afml.ledger.publication import PublicationRecord
from afml.ledger.reassessment import Reassessment, rr_bound


@dataclass(frozen=True)
class ReleaseRecord:
    """A released file.

    Attributes:
        run: Run that trained the model.
        file_digest: SHA-256 of the released file, hex.
        model_digest: Digest of the model that planned it, hex.
        min_group_size: Fewest people that may share what is told about them.
        traits: That are released beside the records; what is told of a person is pattern and traits together.
    """

    run: str
    file_digest: str
    model_digest: str
    min_group_size: int
    traits: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Fields of the ledger entry that come from the release itself."""
        return {
            "kind": "release",
            "run": self.run,
            "file_digest": self.file_digest,
            "model_digest": self.model_digest,
            "min_group_size": self.min_group_size,
            **({"traits": list(self.traits)} if self.traits else {}),
        }

    def require(self, joint: JointGroups) -> None:
        """Refuse a release that makes groups too small.

        Raises:
            ReleaseError: A group has fewer people than were promised to anybody in it.
        """
        if joint.smallest < joint.promised:
            others = len(joint.earlier)
            because = f" together with {others} earlier releases about the same people" if others else ""
            own = joint.promised == self.min_group_size
            promise = "" if own else ", which an earlier release promised some of them"
            raise ReleaseError(
                f"the smallest group{because} has {joint.smallest} people, below {joint.promised}{promise}",
                where=f"release {self.file_digest[:12]}",
                cure="nest the release in the earlier ones with `afml mask --nested`, or release other people",
            )


@dataclass(frozen=True)
class Standing:
    """A release that was recorded, and what holds of it today.

    Attributes:
        index: Its entry.
        run: Run that trained its model.
        file_digest: SHA-256 of the released file, hex.
        min_group_size: That it promised.
        groups: The smallest joint group of anybody in the file, by all releases together, and what was promised.
    """

    index: int
    run: str
    file_digest: str
    min_group_size: int
    groups: JointGroups


class Releases:
    """The releases of one ledger.

    Args:
        log: The ledger's log; every method is one transaction on it, or reads.
        people: Its tables of people.
    """

    def __init__(self, log: Log, people: People) -> None:
        self._log, self._people = log, people

    def record(self, release: ReleaseRecord, patterns: Mapping[str, str]) -> int:
        """Record a release after checking it against earlier ones about the same people.

        Somebody who holds several releases can intersect them: people are told apart as soon as any
        file tells them apart, by a pattern or by their absence (`afml.ledger.joint`).

        Args:
            release: File digest and settings.
            patterns: person -> label of the released pattern.

        Returns:
            Index of the ledger entry.

        Raises:
            ReleaseError: A joint group would be smaller than this or an earlier release promised.
            BudgetError: Somebody in it has withdrawn.
        """
        tokens, numbers = self._people.tokens(patterns), _numbers(patterns)
        with self._log.transaction():
            self._people.refuse_withdrawn(tokens, f"release {release.file_digest[:12]}", "run `afml mask` again")
            new = {person: numbers[patterns[name]] for person, name in tokens.items()}
            joint = joint_groups(new, release.min_group_size, *self._released())
            release.require(joint)
            body = {
                **release.to_json(),
                "insecure": release.run in simulation.simulated_runs(self._log.database),
                "people": len(tokens),
                "patterns": len(numbers),
                "smallest_joint_group": joint.smallest,
                "earlier": joint.earlier,
                "enrolment": self._people.commitment(tokens).hex(),
                "assignment": self._people.assignment(new).hex(),
            }
            index, _, _ = self._log.add(body, {"run": release.run})
            rows = [(person, index, pattern) for person, pattern in sorted(new.items())]
            self._log.database.executemany("INSERT INTO released VALUES (?, ?, ?)", rows)
        return index

    def nesting(self, people: Sequence[str], k: int) -> Nesting:
        """Whom a next release may tell apart, so that no joint group becomes too small.

        Args:
            people: Ids of everybody who would be in it.
            k: Group size that it will promise.

        Raises:
            InputError: Nobody, or somebody twice.
        """
        names = {name: token for token, name in self._people.tokens(people).items()}
        return nested_in([names[person] for person in people], k, *self._released())

    def told_traits(self) -> bool:
        """Whether any release told traits beside the records."""
        bodies = self._log.database.execute("SELECT body FROM entries WHERE kind = 'release'")
        return any("traits" in json.loads(body) for (body,) in bodies)

    def standing(self, file_digest: str, patterns: Mapping[str, str]) -> Standing:
        """A released file as it stands today: the smallest joint group that anybody in it is in.

        Later releases, and people who turned out to be one, may have made groups smaller.

        Args:
            file_digest: SHA-256 of the released file, hex.
            patterns: person -> label of the released pattern, as they were recorded.

        Raises:
            InputError: No release of this file is recorded, or other people show other patterns in it.
        """
        index, body = self._entry(file_digest)
        past, promises = self._released()
        numbers = _numbers(patterns)
        if {self._people.token(name): numbers[label] for name, label in patterns.items()} != past[index]:
            raise InputError(
                "the table of whose record is which is not that of the release",
                where=f"release {file_digest[:12]}",
                cure="put the work folder back as it was when the files were released",
            )
        groups = standing(index, past, promises)
        return Standing(index, str(body["run"]), file_digest, int(body["min_group_size"]), groups)

    def record_reassessment(self, found: Reassessment) -> list[str]:
        """Record what today's attacks found of a released file.

        Args:
            found: Likewise.

        Returns:
            What does not hold, by name: promises, and then the rate that was asked for.
        """
        with self._log.transaction():
            row = self._log.database.execute("SELECT body FROM entries WHERE idx = ?", (found.release,)).fetchone()
            of = json.loads(row[0])
            groups = standing(found.release, *self._released())
            broken = found.broken(groups, int(of["patterns"]))
            body = {
                "kind": "reassessment",
                "run": of["run"],
                "insecure": of["insecure"],
                "release": found.release,
                "public_people": found.public_people,
                "relatives": found.relatives,
                "attacks": list(found.attacks),
                "rr": round(found.rr, 6),
                "attacked": found.attacked,
                "rr_bound": round(rr_bound(int(of["patterns"]), found.attacked), 6),
                "target_rr": found.target_rr,
                "smallest_joint_group": groups.smallest,
                "promised": groups.promised,
                "broken": broken,
            }
            self._log.add(body, {"run": of["run"]})
        return broken

    def record_publication(self, found: PublicationRecord) -> int:
        """Record that a released file may leave the house; once, however often it is asked in the same words.

        Args:
            found: What it was held against.

        Returns:
            Index of the ledger entry.

        Raises:
            InputError: No release of this file is recorded.
            BudgetError: Somebody in it has withdrawn since.
        """
        with self._log.transaction():
            index, of = self._entry(found.file_digest)
            then = "run `afml mask --nested`, which does not tell who left"
            self._people.refuse_withdrawn(self._people.shown(index), f"release {found.file_digest[:12]}", then)
            body = {**found.to_json(), "run": of["run"], "insecure": of["insecure"], "release": index}
            query = "SELECT idx, body FROM entries WHERE kind = 'publication' AND run = ? ORDER BY idx DESC"
            for at, raw in self._log.database.execute(query, (of["run"],)):
                if body.items() <= json.loads(raw).items():
                    return int(at)
            return self._log.add(body, {"run": of["run"]})[0]

    def _entry(self, file_digest: str) -> tuple[int, dict[str, Any]]:
        """The newest release of a file, and its entry.

        Raises:
            InputError: There is none.
        """
        query = "SELECT idx, body FROM entries WHERE kind = 'release' ORDER BY idx DESC"
        for index, raw in self._log.database.execute(query):
            body = json.loads(raw)
            if body["file_digest"] == file_digest:
                return int(index), body
        raise InputError(
            f"the ledger knows no released file with digest {file_digest[:12]}",
            where=self._log.folder,
            cure="name the ledger that the release was recorded in with --ledger, or the files as they were released",
        )

    def _released(self) -> tuple[dict[int, dict[bytes, int]], dict[int, int]]:
        """release -> person -> pattern; release -> group size that it promised."""
        same = accounts_by_name(self._log.database)
        earlier: dict[int, dict[bytes, int]] = {}
        rows = self._log.database.execute("SELECT person, idx, pattern FROM released ORDER BY 1, 2")
        for person, index, pattern in rows:
            earlier.setdefault(index, {})[same.get(person, person)] = pattern
        query = "SELECT idx, body FROM entries WHERE kind = 'release'"
        promises = {index: int(json.loads(body)["min_group_size"]) for index, body in self._log.database.execute(query)}
        return earlier, promises


def _numbers(patterns: Mapping[str, str]) -> dict[str, int]:
    """The number of each label in a release."""
    return {label: number for number, label in enumerate(sorted(set(patterns.values())))}
