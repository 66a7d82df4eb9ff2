"""What no history may break."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from afml.consortium.attempt import Attempt
from afml.consortium.stage import Stage
from afml.core.errors import AfmlError
from afml.ledger.transcript import read
from afml.ledger.verify import Evidence, verify
from afml.training.model import load_model
from afml.training.step import apply_total
from afml.wire import federation_pb2 as wire
from crypto.public.signing import public_bytes
from tests.simulate.actors import Killed, current
from tests.simulate.setting import RESERVE, fault_free, fields, told, weight

if TYPE_CHECKING:
    from tests.simulate.world import World


FORESEEN = (AfmlError, OSError, sqlite3.OperationalError)
"""What `afml` says in one line: its own errors, and a disk without space."""


class Watch:
    """Looks on, and says what does not hold.

    Attributes:
        late: The history did not come to its end.
        problems: What does not hold.
        first_sent: (node, round, attempt, chunk) -> short name of the ciphertext that first left.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.late = False
        self.first_sent: dict[tuple[int, int, int, int], str] = {}
        self.problems: list[str] = []

    def require(self, holds: bool, problem: str) -> None:
        """Remember what does not hold: an exception here would be the product's to deal with."""
        if not holds and problem not in self.problems:
            self._world.say(f"!! {problem}")
            self.problems.append(problem)

    # -- while it goes on ----------------------------------------------------------------------------

    def sent(self, name: str, node: int, parts: list[bytes]) -> None:
        """An update leaves: it is paid for by now, and is the one message that its pads cover."""
        if name != "SubmitUpdate":
            return
        header = wire.UpdatePart.FromString(parts[0]).header
        place = (header.round, header.attempt)
        self.require(place in self.spends(node), f"node {node} sends what its ledger does not hold: {place}")
        for part in parts[1:]:  # a stream goes on where one before it broke
            chunk = wire.UpdatePart.FromString(part).chunk
            body = told(chunk.payload)
            first = self.first_sent.setdefault((node, *place, chunk.index), body)
            self.require(first == body, f"node {node} sends two messages under the pads of {place}")

    def applying(self, task: Any, run: Any, round_number: int, cohort: Any, total: Any) -> None:
        """A node applies a sum: every member of its cohort is in it once."""
        expected = np.sum([fields(run, node, round_number) for node in cohort], axis=0)
        if not np.array_equal(total, expected):
            found = weight(run, round_number, total)
            self.require(False, f"the sum of round {round_number} over {list(cohort)} weighs {found:b}, bits are nodes")
        self.require(len(cohort) >= run.quorum, f"a sum over {list(cohort)}, the quorum is {run.quorum}")
        apply_total(task, run, round_number, cohort, total)

    def unheard(self, _: object, context: dict[str, Any]) -> None:
        """An error that nobody was told of."""
        error = context.get("exception")
        self.require(isinstance(error, (Killed, grpc.RpcError)), f"nobody was told of {error!r} ({context['message']})")

    def spends(self, node: int) -> dict[tuple[int, int], tuple[int, ...]]:
        """(round, attempt) -> cohort of what a node's ledger holds, read beside the product."""
        institution, here = self._world.nodes[node], current()
        work = institution.work if here is None else institution.folder_of(here.process)
        path = work.ledger / "ledger.db"
        if not path.exists():
            return {}
        with contextlib.closing(sqlite3.connect(path)) as ledger:
            rows = ledger.execute("SELECT body FROM entries WHERE kind = 'spend' AND run = ?", (self._world.run.run,))
            bodies = [json.loads(body) for (body,) in rows]
        return {(body["round"], body["attempt"]): tuple(body["cohort"]) for body in bodies}

    # -- when it is over -----------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """All that must hold of the whole history.

        Raises:
            AssertionError: Something does not.
        """
        world, run = self._world, self._world.run
        for error in world.aggregator.broken:
            self.require(False, f"a call broke the aggregator: {type(error).__name__}: {error}")
        for error in world.aggregator.errors:
            self.require(isinstance(error, FORESEEN), f"the aggregator ended by {error!r}")
        for number, node in world.nodes.items():
            for error in node.errors:
                self.require(isinstance(error, FORESEEN), f"node {number} ended by {error!r}")
        with world.aggregator.stored() as store:
            at = store.position()
            published = [store.rounds.published(round_number) for round_number in range(1, run.rounds + 1)]
            cohorts = [tuple(store.attempts.cohort(one.attempt)) for one in published if one]
            left = {node: member.left for node, member in store.members.all().items() if member.left}
            places = [one.attempt for one in published if one]
        self._ledgers(places, cohorts)
        out = {number for number, node in world.nodes.items() if node.late and node.ended}
        self.require(
            not any(out & set(cohort) for cohort in cohorts), f"nodes {out} took part, and said that they cannot"
        )
        self.require(
            not any(self.spends(number) for number in out), f"nodes {out} spent on a run that began without them"
        )
        self._came_to_its_end(at, left)
        if at.stage is Stage.FINISHED:
            self._models(cohorts)
        assert not self.problems, "; ".join(self.problems)

    def _came_to_its_end(self, at: Any, left: dict[int, str]) -> None:
        world = self._world
        exhausted = [node for node in world.nodes if len(self.spends(node)) >= world.run.rounds + RESERVE]
        if exhausted:
            return
        why = {node: one.ended for node, one in world.nodes.items() if one.ended and not one.late}
        self.require(not left and not why, f"nodes left a run that could go on: {left} {why}")
        self.require(at.stage is not Stage.FAILED, f"the run failed though a quorum is there ({at.reason})")
        last = {node: str(one.errors[-1]) for node, one in world.nodes.items() if not one.done and one.errors}
        self.require(not self.late, f"the run stands still at {at.stage} of {at.attempt} ({at.reason}); {last}")

    def _models(self, cohorts: list[tuple[int, ...]]) -> None:
        expected = fault_free(self._world.run, cohorts).model().arrays
        for number, node in self._world.nodes.items():
            if node.taken is not None:
                arrays, _ = load_model(node.taken.model)
                same = all(np.array_equal(arrays[name], expected[name]) for name in expected)
                self.require(same, f"node {number} holds another model than a run without faults over {cohorts}")

    def _ledgers(self, places: list[Attempt], cohorts: list[tuple[int, ...]]) -> None:
        world, kits = self._world, self._world.aggregator._consortium
        transcript = world.aggregator.folder.transcript
        roster = kits.aggregator.roster
        rounds = read(transcript, bytes.fromhex(roster.aggregator_key)) if transcript.exists() else []
        for number, node in world.nodes.items():
            if not (node.work.ledger / "ledger.db").exists():
                continue
            spends = self.spends(number)
            for place, cohort in zip(places, cohorts, strict=True):
                if number in cohort:
                    found = spends.get((place.round, place.number))
                    self.require(found == cohort, f"node {number}'s ledger has {found} for {place} of {cohort}")
            key = public_bytes(node.kit.signing_key)
            result = verify(node.work.ledger, key=key, node=number, evidence=Evidence(transcript=rounds))
            wrong = [one for one in result.findings if one.code != "clock-set-back"]  # clocks were set back
            self.require(not wrong, f"ledger of node {number}: {wrong}")
