"""The steps of the drill, in order: each does something to the consortium, and says what was seen of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from afml.core.progress import Kind
from benchmarks.drill.checks import Checks
from benchmarks.drill.consortium import AGGREGATOR, COORDINATOR, Consortium
from benchmarks.drill.machines import Machines
from benchmarks.drill.runs import TARGET, Aggregators, Run

INSTITUTIONS = ("Uppsala", "Oslo", "Turku")
UPPSALA, OSLO, TURKU, TARTU = 1, 2, 3, 4
Say = Callable[[str], None]


class Drill:
    """One rehearsal.

    Args:
        root: A new folder, which keeps everything afterwards.
        rounds: Of the first run; the second has a tenth, six at least.
        database: See `Aggregators`.
        say: Takes the narrative, a line a step.
    """

    def __init__(self, root: Path, rounds: int, database: str = "", say: Say = print) -> None:
        self.machines, self.rounds, self._tell = Machines(root), rounds, say
        self._began, self._step = time.monotonic(), 0
        self.consortium = Consortium(self.machines)
        self.aggregators = Aggregators(self.consortium, database)
        self.first = Run(self.consortium, self.aggregators, "first", rounds)
        self.second = Run(self.consortium, self.aggregators, "second", max(6, rounds // 10))
        self.checks = Checks(self.consortium)

    def play(self) -> None:
        """All of it.

        Raises:
            Surprise: Something was not as it must be.
        """
        try:
            self._found()
            self._begin()
            self.machines.after = self.first.after_command
            for share, step in (
                (0.05, self._nodes_die), (0.15, self._aggregator_dies), (0.25, self._machine_is_lost),
                (0.4, self._institution_joins), (0.55, self._certificates_change), (0.7, self._certificate_is_revoked),
            ):  # fmt: skip
                self.first.reaches(int(share * self.rounds))
                step()
            self.machines.after = lambda: None
            self._first_run_ends()
            self._key_changes()
            self._second_run()
            self._audit()
        finally:
            self.machines.close()

    def say(self, done: str, seen: str) -> None:
        """One line."""
        self._step += 1
        seconds = int(time.monotonic() - self._began)
        self._tell(f"[{seconds // 60:2d}:{seconds % 60:02d}] {self._step:2d}. {done}: {seen}")

    # -- before ----------------------------------------------------------------------------------------------

    def _found(self) -> None:
        told = self.consortium.found(INSTITUTIONS)
        self.say(f"{', '.join(INSTITUTIONS)} found a consortium, each with keys of its own", told)

    def _begin(self) -> None:
        told = self.first.configure((UPPSALA, OSLO, TURKU), quorum=2, budget=TARGET)
        self.aggregators.start()
        self.first.begin()
        self.first.reaches(1)
        where = " and ".join(self.aggregators.names) + (" (stands by)" if len(self.aggregators.names) > 1 else "")
        self.say(f"the coordinator signs a run and submits it, at {where}", told)

    # -- in the middle of the run ----------------------------------------------------------------------------

    def _nodes_die(self) -> None:
        moments: dict[int, Kind] = {UPPSALA: "training", OSLO: "encrypting", TURKU: "sending"}
        for node, moment in moments.items():
            at = self.first.caught(node, moment)
            self.machines.kill(self.first.process(node))
            self.machines.start_again(self.first.process(node))
            back = self.first.goes_on(node)
            done = f"kill -9 of {self.consortium.names[node]}'s node at round {at}, {moment}; the same command again"
            self.say(done, f"in the cohort of round {back}")

    def _aggregator_dies(self) -> None:
        at, name = self.first.published(), self.aggregators.name
        told = self.aggregators.lose()
        back = self.first.goes_on(UPPSALA, OSLO, TURKU)
        self.say(f"kill -9 of {name} after round {at}", f"{told}; round {back} with everybody")

    def _machine_is_lost(self) -> None:
        first, oslo = self.first, self.consortium.names[OSLO]
        kept = self.consortium.keep(OSLO)
        at, backup = first.published(), kept / "ledger"
        told = self.machines.do("ledger", "backup", self.consortium.work(OSLO) / "ledger", "--out", backup)
        self.say(f"{oslo} backs its ledger up while its node runs, after round {at}", told.split(" are in")[0])
        first.goes_on(OSLO)
        lost = self.consortium.homes[OSLO]
        self.machines.kill(first.process(OSLO))
        shutil.rmtree(lost)
        back = first.goes_on(UPPSALA, TURKU, without=OSLO)
        self.say(f"{oslo}'s machine burns, with its ledger and its part in the run", f"round {back} without {oslo}")
        with first.while_it_runs(int(0.4 * self.rounds)):
            self.consortium.move(OSLO, kept)
            heads = [self._heads_of(node) for node in (UPPSALA, TURKU)]
            told = self.machines.do(
                "ledger", "restore", backup, "--ledger", self.consortium.work(OSLO) / "ledger", "--kit",
                self.consortium.kit(OSLO), *[word for head in heads for word in ("--head", head)],
            )  # fmt: skip
            self.say(f"{oslo}'s ledger is put back on another machine, with the heads that the others keep",
                     "; ".join(told.splitlines()))  # fmt: skip
            self.checks.lost = {OSLO: first.name}
            told = self.machines.refused("closed at this site (lost)", *first.command(OSLO))
            self.say(f"{oslo}'s new machine may not take part in this run again", told)

    def _heads_of(self, node: int) -> Path:
        out = self.machines.root / f"heads-of-{node}"
        self.machines.do("ledger", "heads", self.consortium.work(node) / "ledger", "--out", out)
        return out

    def _institution_joins(self) -> None:
        with self.first.while_it_runs(int(0.55 * self.rounds)):
            self.consortium.ask(TARTU, "Tartu")
            told, answers = self.consortium.version(self.consortium.kit(TARTU) / "request.json", (UPPSALA, TURKU))
            self.consortium.install(answers, (*self.consortium.names, AGGREGATOR))
            self.consortium.settle(TARTU)
        at = self.first.goes_on(UPPSALA, TURKU)
        enrolled = self.first.config.enrolled
        self.say("a fourth institution joins the roster while the run is under way", told)
        self.say("the run keeps its roster", f"round {at} under version 1, enrolled {enrolled}, quorum 2")

    def _certificates_change(self) -> None:
        first, stolen = self.first, self.machines.root / "stolen"
        shutil.copytree(self.consortium.kit(UPPSALA), stolen)
        with first.while_it_runs(int(0.7 * self.rounds)):
            self.consortium.renew([*self.consortium.names, AGGREGATOR, COORDINATOR])
            name = self.aggregators.name
            told = self.aggregators.lose()
        at = first.goes_on(UPPSALA, TURKU)
        self.say("all certificates are renewed: four nodes, aggregator, coordinator; whoever runs goes on running",
                 f"{name} was killed again, so that all connect anew ({told}); round {at}")  # fmt: skip
        said = self._submit(stolen, "was renewed or revoked")
        self.say("a copy of Uppsala's kit from before, with the old certificate, asks the aggregator", said)

    def _submit(self, kit: Path, refused: str) -> str:
        return self.machines.refused(refused, "run", "submit", self.first.file, "--kit", kit,
                                     "--aggregator", self.aggregators.address)  # fmt: skip

    def _certificate_is_revoked(self) -> None:
        first, turku = self.first, self.consortium.names[TURKU]
        self.consortium.revoke(TURKU)
        name = self.aggregators.name
        self.machines.until(lambda: "run paused" in self.machines.said(name), "a run that is paused")
        at = first.published()
        said = self._submit(self.consortium.kit(TURKU), "was renewed or revoked")
        self.say(f"{turku}'s certificate is revoked, at the aggregator, with nothing restarted", said)
        self.consortium.renew([TURKU])
        back = first.goes_on(UPPSALA, TURKU)
        self.say(f"below its quorum the run was paused after round {at}; {turku} gets a new certificate",
                 f"its process takes it up by itself; round {back}")  # fmt: skip

    # -- afterwards ------------------------------------------------------------------------------------------

    def _first_run_ends(self) -> None:
        digest = self.first.ends_well((UPPSALA, TURKU))
        self.say(f"the run ends after {self.first.published()} rounds",
                 f"Uppsala and Turku hold the same model ({digest[:12]})")  # fmt: skip
        self.checks.keep(self.first)

    def _key_changes(self) -> None:
        turku, kit = self.consortium.names[TURKU], self.consortium.kit(TURKU)
        new, ledger = kit.with_name("kit-new"), self.consortium.work(TURKU) / "ledger"
        self.machines.do("keys", "init", "--succeed", kit, "--out", new)
        proposal, words = self.machines.root / "succession.json", list[object]()
        self.machines.do("ledger", "propose", ledger, "--kit", kit, "--to", new, "--out", proposal)
        for node in (UPPSALA, OSLO):
            word = proposal.with_name(f"vouch-{node}.json")
            self.machines.do("ledger", "vouch", proposal, "--ledger", self.consortium.work(node) / "ledger",
                             "--kit", self.consortium.kit(node), "--out", word)  # fmt: skip
            words += ["--vouch", word]
        passed = self.machines.do("ledger", "succeed", proposal, "--ledger", ledger, "--kit", kit, "--to", new, *words)
        told, answers = self.consortium.version(new / "request.json", (UPPSALA, TURKU, TARTU))
        kit.rename(kit.with_name("kit-old"))
        new.rename(kit)
        self.consortium.install(answers, (*self.consortium.names, AGGREGATOR))
        for node in self.consortium.names:
            self.consortium.allow(node)
        self.consortium.prepare(TURKU)
        self.say(f"{turku} changes its signing key, and with it the ledger's", f"{told}; {passed.strip()}")

    def _second_run(self) -> None:
        second, nodes = self.second, tuple(self.consortium.names)
        told = second.configure(nodes, quorum=3, budget=2 * TARGET)
        self.aggregators.stop()
        self.aggregators.start()
        second.begin()
        digest = second.ends_well(nodes)
        version = self.consortium.roster().version
        self.say(f"a second run, under version {version} of the roster, with all four", told)
        self.say(f"it ends after {second.rounds} rounds", f"all four hold the same model ({digest[:12]})")
        self.checks.keep(second)

    def _audit(self) -> None:
        for node, name in self.consortium.names.items():
            self.say(f"afml audit verify of {name}'s ledger, against both transcripts", self.checks.of(node))
