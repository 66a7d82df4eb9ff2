"""Everybody's moves: the coordinator's, the aggregator's, the fourth institution's, and those of honest operators."""

from __future__ import annotations

import shutil
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from tests.hostile.cohort import Answer
from tests.hostile.invariants import Invariants
from tests.hostile.world import HONEST, PEOPLE, Bend, Move

nodes = st.sampled_from(HONEST)
places = st.integers(0, 3)
ways = st.sets(st.tuples(nodes, nodes), max_size=1)
names = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
multipliers = st.sampled_from([2.0, 3.0, 4.0, 5.0, 1.2, 0.1])
budgets = st.sampled_from([1.0, 0.8, 0.4, 60.0])
noises = st.sampled_from(["distributed", "local"])
seeds = st.sampled_from([None, None, None, 7])
honest_shapes = st.sampled_from([(2, 3, 1), (1, 3, 1), (3, 3, 1), (2, 4, 2), (2, 3, 0)])
shapes = st.one_of(honest_shapes, st.sampled_from([(2, 2, 0), (2, 4, 1)]))
enrolments = st.sampled_from([1, 2, 2, 3])
answers: st.SearchStrategy[Answer] = st.sampled_from(["fold", "first", "last"])
bends: st.SearchStrategy[Bend] = st.sampled_from(["none", "none", "none", "offset", "replay", "withheld"])
move = st.tuples(bends, nodes, st.sampled_from([0, 0, 0, *HONEST]))
moves = st.lists(move, min_size=1, max_size=4)
played = st.fixed_dictionaries({
    "multiplier": st.sampled_from([3.0, 2.0, 2.5, 4.0]), "shape": honest_shapes, "noise": noises,
    "enrolments": st.sampled_from([0, 0, 0, 1, 2, 3]), "moves": moves,
})  # fmt: skip


class Histories(Invariants):
    """One history; each rule is somebody's move."""

    @initialize(travels=st.booleans(), more=played)
    def begin(self, travels: bool, more: dict[str, Any]) -> None:
        """Somebody may be at two institutions; a first run is played, so that every history has something to lose."""
        if travels:
            self.world.travels()
        self._play(**more)

    # The coordinator

    @rule(
        name=names, multiplier=multipliers, budget=budgets, shape=shapes,
        more=st.fixed_dictionaries({"noise": noises, "seed": seeds, "enrolments_per_person": enrolments}),
    )  # fmt: skip
    def sign_a_run(
        self, name: str, multiplier: float, budget: float, shape: tuple[int, int, int], more: dict[str, object]
    ) -> None:
        self.world.configure(name, multiplier, budget, shape, **more)

    @rule(more=played, ends=st.booleans())
    def play_a_run(self, more: dict[str, Any], ends: bool) -> None:
        """A run that most institutions would enter, some of its attempts bent."""
        self._play(**more)
        for node in self.world.seats(self.world.runs[-1]) if ends else ():
            self.world.sites[node].leave(self.world.runs[-1].run)

    @rule()
    def reprovision_and_rename(self) -> None:
        self.world.reprovision()

    # A run and the aggregator

    @precondition(lambda self: self.world.runs)
    @rule(which=places, who=st.sets(nodes, min_size=2))
    def enter(self, which: int, who: set[int]) -> None:
        for node in sorted(who):
            self.world.enter(node, self._run(which))

    @precondition(lambda self: self.world.runs)
    @rule(which=places, lost=ways, forged=ways, forks=st.booleans())
    def exchange_heads(self, which: int, lost: set[tuple[int, int]], forged: set[tuple[int, int]], forks: bool) -> None:
        run = self._run(which)
        post = self.world.posts[run.digest().hex()]
        post.withheld, post.forged = lost, forged
        fork = self.world.root / f"hostile-{len(self.world.runs)}" if forks else None
        self.world.meet(run, fork)

    @precondition(lambda self: self.world.runs)
    @rule(which=places, number=st.integers(1, 3), move=move)
    def play_an_attempt(self, which: int, number: int, move: Move) -> None:
        self.world.attempt(self._run(which), number, *move)

    # The fourth institution

    @rule()
    def fork_a_ledger(self) -> None:
        source, copy = self.world.hostile_ledger, self.world.root / f"hostile-{len(self.world.runs)}"
        if source.exists() and not copy.exists():
            shutil.copytree(source, copy)

    # The institutions themselves

    @rule(node=nodes)
    def restart(self, node: int) -> None:
        self.world.sites[node].stop()

    @rule(node=nodes, person=st.integers(0, PEOPLE - 1), which=places, called=st.booleans())
    def withdraw(self, node: int, person: int, which: int, called: bool) -> None:
        """Somebody withdraws; the aggregator may call the next attempt of a run before anybody else moves."""
        site = self.world.sites[node]
        try:
            site.withdraw(person)
        except AfmlError:
            return
        self.after_withdrawal[node, person] = site.leaked[person]
        if called and self.world.runs:
            self.world.attempt(self._run(which), 1, "none", node, 0)

    @rule(node=nodes, person=st.integers(0, PEOPLE - 1))
    def rename_a_sample(self, node: int, person: int) -> None:
        if self._known(node, person):
            self.world.sites[node].cohort.rename(person)

    @rule(node=nodes, person=st.integers(0, PEOPLE - 1), before=st.booleans(), answer=answers)
    def sample_somebody_again(self, node: int, person: int, before: bool, answer: Answer) -> None:
        if self._known(node, person):
            self.world.sites[node].cohort.sample_again(person, before=before, answer=answer)

    @rule(node=nodes, which=places)
    def close_a_run(self, node: int, which: int) -> None:
        if self.world.runs:
            site, run = self.world.sites[node], self._run(which)
            if self.world.seats(run).get(node) is not None:
                site.leave(run.run)

    @rule(node=nodes)
    def back_up(self, node: int) -> None:
        site, copy = self.world.sites[node], self.world.root / f"backup-{node}"
        try:
            # Not in the middle of a run: what such a copy is good for is said in docs/design/guarantee.md.
            ready = not site.seats and not copy.exists() and site.owes_nothing(self.world.runs)
        except AfmlError:
            return
        if ready:
            site.stop()
            shutil.copytree(site.work.ledger, copy)

    @rule(anew=st.booleans(), machine=st.booleans())
    def lose_a_ledger(self, anew: bool, machine: bool) -> None:
        """One operator, always the same, puts an old copy back or begins anew, whatever the product says."""
        site, copy = self.world.sites[1], self.world.root / "backup-1"
        if anew or copy.exists():
            self._remember_heads()
            site.replace_ledger(None if anew else copy, machine=machine)
            for node, person in list(self.after_withdrawal) if machine else ():
                if node == 1:
                    del self.after_withdrawal[node, person]

    # Inside

    def _play(self, enrolments: int, moves: list[Move], **more: Any) -> None:
        """A run under a new name, by default with noise for what the cards say."""
        most = enrolments or max(site.most for site in self.world.sites.values())
        self.world.play(f"run-{len(self.world.runs)}", moves, enrolments_per_person=most, **more)

    def _known(self, node: int, person: int) -> bool:
        """Whether a new name of somebody can be told: of whoever withdrew unseen the ledger has no record."""
        site = self.world.sites[node]
        return person not in site.withdrawn or person in site.met

    def _run(self, which: int) -> RunConfig:
        """One of the runs, the newest most likely."""
        return self.world.runs[-1 - min(which, len(self.world.runs) - 1)]
