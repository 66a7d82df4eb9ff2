"""A whole consortium on this machine: every party its own process, started by the command that a user would give.

root/
  kits/             a kit a party, whose keys its own process makes
  answers/          what the coordinator answers to their requests: public files
  node-N/           work folder of node N
  run.json          the signed run
  aggregator/       the aggregator's data: transcript.jsonl, summary.json
  reports/node-N/   what institution N found of its own file
  overlap/          the same two of the run about which people at two institutions were looked for
  logs/             what every process said: NAME.log, and its events: NAME.events
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.kit import load_roster
from afml.consortium.request import REQUEST
from afml.consortium.run import RunConfig
from afml.core.errors import InputError, PolicyError, ReleaseError
from afml.core.files import require_file
from afml.core.progress import EventReader, Tell, untold
from afml.trial.processes import Child, Team, free_port
from node import policyfile
from node.overlap import WITHOUT, queries
from node.policy import Lifetime, OverlapRules
from node.workspace import Workspace

Options = Sequence[object]
"""Arguments of a command line."""
_REFUSALS = (PolicyError.exit_code, ReleaseError.exit_code)
"""By which an institution says that a package does not leave the house."""


@dataclass(frozen=True)
class Traffic:
    """What the aggregator counted.

    Attributes:
        rounds: Published.
        parameters: Of the largest update.
        bytes_up: Bytes of such an update, median over rounds and nodes.
        seconds_per_round: Wall time, median.
        aggregator_rss_mb: Its largest resident size.
    """

    rounds: int
    parameters: int
    bytes_up: float
    seconds_per_round: float
    aggregator_rss_mb: float

    @classmethod
    def load(cls, data: Path) -> Traffic:
        """Read the summary in an aggregator's data folder.

        Raises:
            InputError: There is none: the run has not ended.
        """
        path = require_file(data / "summary.json", "aggregator summary", "let the run finish first")
        summary = json.loads(path.read_text())
        uploads = summary["uploads"]
        if not uploads:
            raise InputError("counts no upload", where=path, cure="let a run finish first")
        parameters = max(upload["parameters"] for upload in uploads)
        size = statistics.median(upload["bytes"] for upload in uploads if upload["parameters"] == parameters)
        return cls(summary["rounds"], parameters, size, summary["seconds_per_round"], summary["aggregator_rss_mb"])


class Parties:
    """The parties of one run, below one folder. Its methods, in their order, are a run's life."""

    def __init__(self, team: Team, root: Path, nodes: int, *, at_once: int = 0, run: Path | None = None) -> None:
        """Names the places; `provision` makes the first of them.

        Args:
            team: Runs the processes.
            root: Where everything is.
            nodes: Institutions.
            at_once: Processes at a time where they need not meet; by default one per processor.
            run: Folder of the signed run and of the aggregator's data, where it is not `root`.
        """
        self.root, self.nodes, self._run = root, range(1, nodes + 1), run or root
        self._team, self._at_once = team, at_once or os.cpu_count() or 2

    @property
    def run_file(self) -> Path:
        """The signed run."""
        return self._run / "run.json"

    @property
    def aggregator(self) -> Path:
        """The aggregator's data."""
        return self._run / "aggregator"

    def kit(self, party: str) -> Path:
        """Start kit of "node-1", ..., "aggregator" or "coordinator"."""
        return self.root / "kits" / party

    def work(self, node: int) -> Workspace:
        """Work folder of a node."""
        return Workspace(self.root / f"node-{node}")

    def provision(self, name: str, lifetime: float | None = None, *, overlap: bool = False) -> None:
        """Every party makes its own keys, the coordinator answers, they install the answers and write their policies.

        Args:
            name: Of the consortium.
            lifetime: What each institution lets one of its people spend over all runs, in sigma, or what `afml policy
                init` proposes where that is more; None: next to no limit, for runs that measure something else.
            overlap: Whether all sites allow the others to look for people whom they have enrolled too.
        """
        answers = self.root / "answers"
        parties = [*(f"node-{n}" for n in self.nodes), "aggregator"]
        self._keys([*parties, "coordinator"], lambda p: ["init", "--role", p.split("-")[0], "--name", p, "--out"])
        self._team.run("provision", [
            "consortium", "found", *[self.kit(party) / REQUEST for party in parties],
            "--kit", self.kit("coordinator"), "--consortium", name, "--out", answers,
        ])  # fmt: skip
        self._keys(parties, lambda party: ["install", answers / party, "--kit"])
        for n in self.nodes:  # a trial's people are made up or public, and its runs may be simulations
            roster = load_roster(self.kit(f"node-{n}"))
            limit = {} if lifetime is None else {"ple_sigma": max(lifetime, Lifetime().ple_sigma)}
            policy = policyfile.trial_policy(roster, **limit)
            if overlap:
                policy = policy.model_copy(update={"overlap": OverlapRules(allowed=True)})
            policyfile.init(self.kit(f"node-{n}"), policy, roster)

    def prepare(self, own: Sequence[Options], shared: Options) -> None:
        """Fill every node's work folder.

        Args:
            own: Options of `afml prepare` at each node, in order: where its data are.
            shared: Those that all nodes agree on.
        """
        self._each("prepare", [[*one, *shared] for one in own])

    def configure(self, options: Options) -> RunConfig:
        """Agree on a run from all nodes' cards and sign it; `options` are those of `afml configure`."""
        self._team.run("configure", [
            "configure", *[self.work(n).card for n in self.nodes], "--kit", self.kit("coordinator"),
            "--out", self.run_file, *options,
        ])  # fmt: skip
        return RunConfig.load(self.run_file)

    def find_overlap(self) -> dict[int, Path]:
        """Serve the run for the query alone, and ask at every node; node -> list of the people whom it is to leave out.

        Raises:
            ChildFailed: A node cannot ask or answer, or the aggregator has ended.
        """
        address = f"127.0.0.1:{free_port()}"
        run = RunConfig.load(self.run_file)
        at = ["--kit", self.kit("aggregator"), "--run", self.run_file, "--data", self.aggregator, "--listen", address]
        serving = self._team.start("overlap-aggregator", ["aggregator", *at])
        asking = [
            self._team.start(f"overlap-{n}", [
                "overlap", "--kit", self.kit(f"node-{n}"), "--work", self.work(n).root, "--run", self.run_file,
                "--aggregator", address,
            ])
            for n in self.nodes
        ]  # fmt: skip
        self._team.wait(asking, beside=serving)
        self._team.end([serving])
        return {n: queries(self.work(n)) / run.run / WITHOUT for n in self.nodes}

    def train(self, tell: Tell = untold) -> None:
        """Serve the run and take part at every node, until all have ended.

        Args:
            tell: Told what the first node tells.

        Raises:
            ChildFailed: A party failed; the others are stopped with the team.
        """
        address = f"127.0.0.1:{free_port()}"
        seeded = ["--simulation"] if RunConfig.load(self.run_file).seed is not None else []
        members = [self._start("aggregator", "aggregator", ["--data", self.aggregator, "--listen", address])]
        for n in self.nodes:
            options = ["--work", self.work(n).root, "--aggregator", address, *seeded]
            members.append(self._start(f"node-{n}", "node", options))
        reader = EventReader(self._events("node-1"))

        def look() -> None:
            for event in reader.new():
                tell(event)

        self._team.wait(members, tick=look)

    def verify(self) -> None:
        """Verify every ledger against its countersigned head and the aggregator's transcript."""
        transcript, others = self.aggregator / "transcript.jsonl", len(self.nodes) - 1
        jobs: list[tuple[str, Options]] = []
        for n in self.nodes:
            told = ["--roster", self.kit(f"node-{n}") / "roster.json", "--node", n, "--transcript", transcript]
            options = ["audit", "verify", self.work(n).ledger, *told, "--countersignatures", others]
            jobs.append((f"verify-{n}", options))
        self._team.run_each(jobs, at_once=self._at_once)

    def attack_declared(self, seed: int) -> None:
        """Play the run with made-up people alone; the bound goes into the first institution's ledger."""
        given = ["--run", self.run_file, "--work", self.work(1).root, "--kit", self.kit("node-1"), "--seed", seed]
        self._team.run("declared-audit", ["audit", "attack", "--instrument", "declared", *given])

    def dossier(self, report: Path, out: Path) -> None:
        """What an auditor gets of all of them, under the first one's signature."""
        works = [option for n in self.nodes for option in ("--work", self.work(n).root)]
        given = ["--run", self.run_file, "--transcript", self.aggregator / "transcript.jsonl", "--report", report]
        self._team.run("dossier", ["audit", "dossier", *works, "--kit", self.kit("node-1"), *given, "--out", out])

    def mask(self, options: Options = ()) -> None:
        """Write every node's de-identified file; `options` are those of `afml mask`."""
        self._each("mask", [["--run", self.run_file, "--force", *options]] * len(self.nodes))

    def assess(self, options: Options) -> None:
        """Every institution attacks and scores its own file, at home; `options` are those of `afml evaluate`."""
        jobs: list[tuple[str, Options]] = []
        for n in self.nodes:
            own = ["--own", self.work(n).root, "--run", self.run_file, "--out", self.root / "reports" / f"node-{n}"]
            jobs.append((f"evaluate-{n}", ["evaluate", *own, *options]))
        self._team.run_each(jobs, at_once=self._at_once)

    def publish(self) -> dict[int, str]:
        """Every institution publishes the package that it has assessed, or says why not; node -> that, in one line."""
        told = {}
        for n in self.nodes:
            places = ["--kit", self.kit(f"node-{n}"), "--work", self.work(n).root, "--run", self.run_file]
            done, line = self._team.answer(f"publish-{n}", ["release", "publish", *places], refusals=_REFUSALS)
            told[n] = line if done else f"not published: {line}"
        return told

    def _start(self, party: str, verb: str, options: Options) -> Child:
        events = self._events(party)
        events.unlink(missing_ok=True)  # of an earlier start: logs begin anew, too
        own = ["--kit", self.kit(party), "--run", self.run_file, "--events", events]
        return self._team.start(party, [verb, *own, *options])

    def _events(self, party: str) -> Path:
        return self._team.logs / f"{party}.events"

    def _keys(self, parties: Sequence[str], options: Callable[[str], Options]) -> None:
        """A command of `afml keys` at every party; its options end where the kit is named."""
        jobs: list[tuple[str, Options]] = []
        for party in parties:
            own = options(party)
            jobs.append((f"keys-{own[0]}-{party}", ["keys", *own, self.kit(party)]))
        self._team.run_each(jobs, at_once=self._at_once)

    def _each(self, verb: str, options: Sequence[Options]) -> None:
        """One command at every node, with its kit and its work folder."""
        jobs: list[tuple[str, Options]] = []
        for n, own in zip(self.nodes, options, strict=True):
            places = ["--kit", self.kit(f"node-{n}"), "--work", self.work(n).root]
            jobs.append((f"{verb}-{n}", [verb, *places, *own]))
        self._team.run_each(jobs, at_once=self._at_once)
