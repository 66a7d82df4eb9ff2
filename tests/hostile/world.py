"""Three honest institutions; coordinator, aggregator and a fourth institution are one adversary."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from afml.consortium.attempt import Attempt
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.errors import AfmlError, IntegrityError
from afml.ledger.store import Ledger
from afml.trial.kits import make_kits
from node.policy import Lifetime, Policy, ReleaseRules, RunRules, Trust
from node.policyfile import init
from node.witnessing import Witnessing
from tests.hostile.post import HostilePost
from tests.hostile.site import Institution, Seat, Sum, token
from tests.hostile.truth import HOMES, TRAVELLER, Together
from tests.masking_runs import masking_run

HONEST, HOSTILE = (1, 2, 3), 4
PEOPLE = 4
LIFETIME = 1.0
Bend = Literal["none", "offset", "replay", "withheld"]
Move = tuple[Bend, int, int]
"""What the aggregator does in an attempt, to whom, and whom it keeps out (0: nobody)."""


@dataclass(frozen=True)
class Consortia:
    """The kits of two consortia of the same institutions: made once, they hold no history."""

    kits: tuple[dict[int, NodeKit], ...]

    @classmethod
    def make(cls, folder: Path) -> Consortia:
        """Provision both; the second under another coordinator and name."""
        nodes = len(HONEST) + 1
        make_kits(folder / "one", "one", nodes)
        make_kits(folder / "two", "renamed", nodes, like=folder / "one")
        found = [
            {n: load_node_kit(folder / name / f"node-{n}") for n in range(1, nodes + 1)} for name in ("one", "two")
        ]
        return cls(tuple(found))


class Kept(dict[str, bytes]):
    """Letters that the hostile institution has sent."""

    letter, keep_letter = dict.get, dict.__setitem__


class World:
    """One history.

    Args:
        consortia: Who there is.
        refuses: Institutions whose policy refuses where trust falls short; the others charge.
    """

    def __init__(self, consortia: Consortia, refuses: frozenset[int]) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hostile-"))
        self.consortia, self.present = consortia, 0
        kits = consortia.kits[0]
        self.sites = {node: Institution(self.root / str(node), kits[node], PEOPLE) for node in HONEST}
        self.together: Together | None = None
        trusted = tuple(kits[node].roster.member(node).signing_key for node in HONEST)
        for node, site in self.sites.items():
            policy = Policy(
                lifetime=Lifetime(ple_sigma=LIFETIME),
                run=RunRules(ple_sigma=LIFETIME, tasks=("any",), quorum=3),
                trust=Trust(signing_keys=trusted, short_of_trust="refuse" if node in refuses else "charge"),
                release=ReleaseRules(),
            )
            init(site.root, policy)
        self.runs: list[RunConfig] = []
        self.posts: dict[str, HostilePost] = {}
        self.published: dict[str, list[Sum]] = {}
        self.hostile_ledger = self.root / "hostile"
        self.backups: dict[int, Path] = {}
        self.accused: list[tuple[str, Institution]] = []

    def travels(self) -> None:
        """One person is enrolled at two institutions, and their cards say so."""
        self.together = Together()
        for node in HOMES:
            self.sites[node].most = 2

    def close(self) -> None:
        """Everything is over."""
        for site in self.sites.values():
            site.stop()
        shutil.rmtree(self.root)

    @property
    def kits(self) -> dict[int, NodeKit]:
        """Of the present consortium."""
        return self.consortia.kits[self.present]

    # The coordinator

    def configure(
        self, name: str, multiplier: float, budget: float, shape: tuple[int, int, int], **more: object
    ) -> None:
        """Sign a run. `shape`: rounds, quorum, max_colluding."""
        rounds, quorum, colluding = shape
        phase = Phase(
            name="risk", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=multiplier, learning_rate=1.0
        )
        run = masking_run(**{
            "run": name, "consortium": self.kits[1].roster.consortium, "sites": 9, "phases": (phase,),
            "enrolled": dict.fromkeys((*HONEST, HOSTILE), PEOPLE), "quorum": quorum, "max_colluding": colluding,
            "budget": Budget(delta=1e-5, ple_sigma=budget), "reserve_attempts": 1, "enrolments_per_person": 1, **more,
        })  # fmt: skip
        self.runs.append(run)
        self.posts[run.digest().hex()] = HostilePost(run)

    def play(
        self, name: str, moves: Sequence[Move], *, multiplier: float = 2.0, shape: tuple[int, int, int] = (2, 3, 1),
        **more: object,
    ) -> None:  # fmt: skip
        """Sign a run, enter, meet in good order, and play some attempts."""
        self.configure(name, multiplier, 1.0, shape, **more)
        run = self.runs[-1]
        for node in HONEST:
            self.enter(node, run)
        self.meet(run)
        for number, move in enumerate(moves, start=1):
            self.attempt(run, number, *move)

    def reprovision(self) -> None:
        """A new coordinator, roster and name for the same institutions; the processes start again."""
        self.present = 1 - self.present
        for node, site in self.sites.items():
            site.stop()
            site.join(self.kits[node])

    # A run

    def enter(self, node: int, run: RunConfig) -> bool:
        """Whether an institution takes part."""
        site = self.sites[node]
        if run.run in site.seats:
            return False
        try:
            site.enter(run, self.posts[run.digest().hex()])
        except AfmlError:
            return False
        return True

    def seats(self, run: RunConfig) -> dict[int, Seat]:
        """The honest nodes in it."""
        return {n: site.seats[run.run] for n, site in self.sites.items() if self._sits(site, run)}

    def meet(self, run: RunConfig, fork: Path | None = None) -> None:
        """Exchange heads among all that are there; the hostile node shows a ledger of its choice."""
        seats, post = self.seats(run), self.posts[run.digest().hex()]
        post.open({*seats, HOSTILE})
        hostile = Ledger.open(
            fork or self.hostile_ledger, self.kits[HOSTILE].signing_key, origin=self.kits[HOSTILE].origin
        )
        theirs = Witnessing(post.mailbox(self.kits[HOSTILE]), hostile, self.kits[HOSTILE].roster, Kept())
        problems: dict[int, AfmlError] = {}

        def one(node: int, witnessing: Witnessing) -> None:
            try:
                witnessing.meet(sorted({*seats, HOSTILE} - {node}), wait_s=60.0)
            except AfmlError as error:
                problems[node] = error
            finally:
                post.close(node)

        sides = [*((n, seat.witnessing) for n, seat in seats.items()), (HOSTILE, theirs)]
        threads = [threading.Thread(target=one, args=side) for side in sides]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hostile.close()
        for node, error in problems.items():
            if node != HOSTILE:
                self._left(node, run, error)

    def attempt(self, run: RunConfig, number: int, bend: Bend, victim: int, absent: int) -> None:
        """One attempt of the next round: Ready, cohort, spends, a sum for each.

        Args:
            run: The run.
            number: Of the attempt.
            bend: What the aggregator does to the sum that `victim` gets.
            victim: An honest node.
            absent: A node that the aggregator keeps out of the cohort, 0 for none.
        """
        seats = {n: seat for n, seat in self.seats(run).items() if n != absent}
        if not seats:
            return
        attempt = Attempt(max(seat.applied for seat in seats.values()) + 1, number)
        if attempt.round > run.rounds:
            return
        tokens = []
        for node, seat in list(seats.items()):
            try:
                tokens.append(self.sites[node].ready(seat, attempt))
            except AfmlError as error:
                del seats[node]
                self._left(node, run, error)
        if not seats:
            return
        # The conspirator signs whatever model the victim believes in.
        believed = seats.get(victim, next(iter(seats.values()))).sums
        tokens.append(token(self.kits[HOSTILE], run, attempt, believed))
        differ = len({seat.sums for seat in seats.values()}) > 1
        spent = {}
        for node, seat in seats.items():
            try:
                self.sites[node].contribute(seat, attempt, tokens, {HOSTILE})
            except AfmlError as error:
                if isinstance(error, IntegrityError):
                    self._left(node, run, error)
                continue
            assert not differ, f"node {node} spent on a round whose members hold different models"
            spent[node] = seat
        cohort = tuple(sorted(t.node for t in tokens))
        for node in spent.keys() & set(HOMES) if self.together else ():
            assert self.together is not None
            self.together.left(run, attempt, spent[node].people.count(TRAVELLER), honest=len(cohort) - 1)
        self._publish(run, attempt, cohort, spent, bend, victim)

    def _publish(
        self, run: RunConfig, attempt: Attempt, cohort: tuple[int, ...], spent: dict[int, Seat], bend: Bend, victim: int
    ) -> None:  # fmt: skip
        total = np.arange(9) * attempt.round + attempt.number
        earlier = self.published.setdefault(run.digest().hex(), [])
        for node, seat in spent.items():
            given = total
            if node == victim and bend != "none":
                if bend == "withheld":
                    seat.bent = True
                    continue
                given = total + 1 if bend == "offset" else (earlier[-1] if earlier else total - 1)
                seat.bent = True
            try:
                self.sites[node].apply(seat, attempt, cohort, given)
            except AfmlError as error:
                self._left(node, run, error)
        if spent:
            earlier.append(total)

    # Inside

    def _sits(self, site: Institution, run: RunConfig) -> bool:
        seat = site.seats.get(run.run)
        return seat is not None and seat.run.digest() == run.digest()

    def _left(self, node: int, run: RunConfig, error: AfmlError) -> None:
        self.accused.append((str(error), self.sites[node]))
        if run.run in self.sites[node].seats:
            self.sites[node].leave(run.run)

    def origins(self, nodes: Sequence[int]) -> dict[str, int]:
        """Ledger name -> node."""
        return {self.kits[node].origin: node for node in nodes}
