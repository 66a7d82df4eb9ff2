"""A run of the drill: its processes, how far it is, and holding it while something else is done."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from afml.consortium.run import RunConfig
from afml.core.progress import EventReader, Kind
from afml.ledger import transcript
from afml.ledger.transcript import PublishedRound
from afml.trial.processes import free_port
from benchmarks.drill.consortium import AGGREGATOR, COORDINATOR, Consortium
from benchmarks.drill.machines import Surprise
from node.journal import progress

RESERVE = 40
"""Attempts that may be lost to deaths."""
TARGET = 1.0
"""PLE of a run, sigma: all its rounds, and the reserve."""
DEADLINE_S = 8.0
_ATTEMPT = tuple[int, int]


class Aggregators:
    """One that serves whatever is submitted, or two machines of which one stands by.

    Args:
        consortium: Whose.
        database: URL of a PostgreSQL database; "" where files keep what is decided, and one machine serves.
    """

    def __init__(self, consortium: Consortium, database: str) -> None:
        self._consortium, self._machines = consortium, consortium.machines
        self._database = database
        self.names = [f"{AGGREGATOR}-{which}" for which in ((1, 2) if database else (1,))]
        self._ports = [free_port() for _ in self.names]
        self.serving = 0

    @property
    def addresses(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def address(self) -> str:
        """Of the one that serves."""
        return f"127.0.0.1:{self._ports[self.serving]}"

    @property
    def name(self) -> str:
        return self.names[self.serving]

    def data(self, run: str) -> Path:
        """Folder of a run at the one that serves."""
        return self._machines.root / self.name / "runs" / run

    def start(self) -> None:
        """The one that serves first, then whoever stands by."""
        for which in sorted(range(len(self.names)), key=lambda which: which != self.serving):
            store = ("--store", self._database) if self._database else ()
            self._machines.start(
                self.names[which], "aggregator", "--kit", self._consortium.kit(AGGREGATOR), *store, "--data",
                self._machines.root / self.names[which], "--listen", f"127.0.0.1:{self._ports[which]}",
            )  # fmt: skip
            words = '"serving many runs"' if which == self.serving else '"standing by"'
            self.says(which, words)

    def says(self, which: int, words: str) -> None:
        self._machines.until(lambda: words in self._machines.said(self.names[which]), f"{words} at {self.names[which]}")

    def lose(self) -> str:
        """Kill the one that serves, whose machine comes back later; what became of it."""
        lost = self.serving
        self._machines.kill(self.names[lost])
        if len(self.names) == 1:
            self._machines.start_again(self.names[lost])
            self.says(lost, '"serving many runs"')
            return "the same command was given again"
        self.serving = 1 - lost
        self.says(self.serving, '"serving many runs"')
        self._machines.start_again(self.names[lost])
        self.says(lost, '"standing by"')
        return f"{self.name}, which stood by, serves from the same database; the other one is back and stands by"

    def stop(self) -> None:
        for name in reversed(self.names):
            self._machines.stop(name)


class SignedRun:
    """A run that the coordinator signs, its nodes' processes, and what they end with."""

    def __init__(self, consortium: Consortium, aggregators: Aggregators, name: str, rounds: int) -> None:
        self.name, self.rounds = name, rounds
        self._consortium, self._machines, self._aggregators = consortium, consortium.machines, aggregators
        self.file = self._machines.root / f"{name}.json"

    @property
    def config(self) -> RunConfig:
        return RunConfig.load(self.file)

    def configure(self, nodes: Sequence[int], quorum: int, budget: float) -> str:
        """The coordinator makes and signs it from the nodes' cards."""
        cards = [self._consortium.work(node) / "card.json" for node in nodes]
        told = self._machines.do(
            "configure", *cards, "--kit", self._consortium.kit(COORDINATOR), "--out", self.file, "--run", self.name,
            "--rounds", self.rounds, "--game-rounds", 0, "--game-steps", 0, "--quorum", quorum, "--max-colluding", 0,
            "--ple", TARGET, "--budget", budget, "--reserve-attempts", RESERVE, "--deadline", DEADLINE_S,
            "--linger", 3600,
        )  # fmt: skip
        return told.strip()

    def begin(self) -> None:
        """Submit it, and start its nodes."""
        self._machines.do("run", "submit", self.file, "--kit", self._consortium.kit(COORDINATOR),
                          "--aggregator", self._aggregators.address)  # fmt: skip
        for node in self.config.nodes:
            self.start(node)

    def process(self, node: int) -> str:
        return f"{self.name}-node-{node}"

    def start(self, node: int) -> None:
        """A node, where its machine is now."""
        self._machines.start(self.process(node), *self.command(node), "--events", self._events(node))

    def command(self, node: int) -> tuple[object, ...]:
        return ("node", "--kit", self._consortium.kit(node), "--work", self._consortium.work(node), "--run", self.file,
                "--aggregator", self._aggregators.addresses)  # fmt: skip

    # -- its end -------------------------------------------------------------------------------------------

    def read(self) -> list[PublishedRound]:
        """The transcript, verified."""
        key = bytes.fromhex(self._consortium.roster().aggregator_key)
        return transcript.read(self.transcript(), key)

    def transcript(self) -> Path:
        """Where the aggregator that serves keeps it."""
        return self._aggregators.data(self.name) / "transcript.jsonl"

    def ends_well(self, nodes: Sequence[int]) -> str:
        """All these nodes end with exit code 0 and one model; its digest."""
        for node in nodes:
            self._machines.ends(self.process(node))
        found = {str(self._card(node)["digest"]) for node in nodes}
        if len(found) != 1:
            raise Surprise(f"run {self.name} ended with {len(found)} models")
        return found.pop()

    def sigma(self, spends: int) -> float:
        """What so many of its rounds cost a person, by hand: full batches of one Gaussian mechanism, composed."""
        (phase,) = self.config.phases
        if phase.sample_rate != 1.0:
            raise Surprise("the arithmetic of the drill is that of full batches")
        return math.sqrt(spends) / phase.noise_multiplier

    def whole(self) -> int:
        """Rounds and reserved attempts."""
        return self.rounds + self.config.reserve_attempts

    def _card(self, node: int) -> dict[str, Any]:
        path = self._consortium.work(node) / "models" / self.name / "model.json"
        card: dict[str, Any] = json.loads(path.read_text())
        return card

    def _events(self, node: int) -> Path:
        return self._consortium.homes[node] / f"{self.name}-events.jsonl"


class Run(SignedRun):
    """The same while it is under way.

    Attributes:
        limit: The round at which it is held where more is typed than it leaves time for.
    """

    def __init__(self, consortium: Consortium, aggregators: Aggregators, name: str, rounds: int) -> None:
        super().__init__(consortium, aggregators, name, rounds)
        self.limit, self._held = rounds, False

    # -- how far it is -------------------------------------------------------------------------------------

    def published(self) -> int:
        """Rounds that some node has applied."""
        return max(progress(self._consortium.work(node) / "runs" / self.name)[0] for node in self.config.nodes)

    def last_cohort(self) -> tuple[int, list[int]]:
        """(round, nodes) of the last line of the transcript that is about a round; (0, []) before the first."""
        with contextlib.suppress(OSError, ValueError):
            lines = (self._aggregators.data(self.name) / "transcript.jsonl").read_bytes().splitlines()
            for line in reversed(lines):
                if "cohort" in (said := json.loads(line)):
                    return int(said["round"]), [int(node) for node in said["cohort"]]
        return 0, []

    def reaches(self, round_number: int) -> None:
        """Wait until so many rounds are published."""
        self._machines.until(lambda: self.published() >= round_number, f"round {round_number} of {self.name}")

    def goes_on(self, *nodes: int, without: int = 0) -> int:
        """Wait for a round after the present one with these nodes, and without that one; its number."""
        now = self.published()
        if now >= self.rounds:
            raise Surprise(f"run {self.name} was over before the drill was: give it more than {self.rounds} rounds")

        def there() -> bool:
            found, cohort = self.last_cohort()
            return found > now and set(nodes) <= set(cohort) and without not in cohort

        self._machines.until(there, f"a round after {now} with nodes {nodes}")
        return self.last_cohort()[0]

    def caught(self, node: int, at: Kind) -> int:
        """Wait until a node says that it is at this part of a round; which round."""
        reader, rounds = EventReader(self._events(node)), list[int]()
        reader.new()

        def there() -> bool:
            rounds.extend(event.round for event in reader.new() if event.kind == at)
            return bool(rounds)

        self._machines.until(there, f"node {node} at {at}")
        return rounds[-1]

    # -- holding it ----------------------------------------------------------------------------------------

    def after_command(self) -> None:
        """Hold it where what is typed takes longer than the rounds that are left for it."""
        if not self._held and self.published() >= self.limit:
            self._held = True  # first: what follows is a command, too
            self._order("pause")

    @contextlib.contextmanager
    def while_it_runs(self, until: int) -> Iterator[None]:
        """What is typed in the block is typed while the run is under way, and held at round `until` if need be."""
        self.limit = until
        self.after_command()
        try:
            yield
        finally:
            self.limit = self.rounds + 1
            self.let_go()

    def let_go(self) -> None:
        """Let it go on where it is held."""
        if self._held:
            self._order("resume")
            self._held = False

    def _order(self, what: str) -> None:
        self._machines.do("run", what, self.file, "--kit", self._consortium.kit(COORDINATOR),
                          "--data", self._aggregators.data(self.name))  # fmt: skip
