"""What must hold at every site in the end: ledgers that the verifier finds nothing in, spends counted once."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

from afml.ledger.snapshot import snapshot
from benchmarks.drill.consortium import Consortium
from benchmarks.drill.machines import Surprise
from benchmarks.drill.runs import Run


class Checks:
    """What is kept of each run, and what the ledgers say of it.

    Attributes:
        lost: Node -> the run in which its ledger was put back from a backup: charged whole.
    """

    def __init__(self, consortium: Consortium) -> None:
        self._consortium, self._machines, self.lost = consortium, consortium.machines, dict[int, str]()
        self._runs: list[Run] = []

    def keep(self, run: Run) -> None:
        """A run that is over; its transcript is verified."""
        if [one.round for one in run.read()] != list(range(1, run.rounds + 1)):
            raise Surprise(f"the transcript of {run.name} does not hold each round once")
        self._runs.append(run)

    def of(self, node: int) -> str:
        """All of one site's ledger; what was seen.

        Raises:
            Surprise: The verifier finds something, a round is missing or counted twice, or the sum is another one.
        """
        ledger, roster = self._consortium.work(node) / "ledger", self._consortium.kit(node) / "roster.json"
        squares, lines = 0.0, list[str]()
        runs = [run for run in self._runs if node in run.config.nodes]
        transcripts = [word for run in runs for word in ("--transcript", run.transcript())]
        told = self._machines.do("audit", "verify", ledger, "--roster", roster, "--node", node, *transcripts)
        if "nothing found" not in told:
            raise Surprise(f"afml audit verify said {told}")
        for run in runs:
            count = self._counted_once(node, run, ledger)
            whole = self.lost.get(node) == run.name
            squares += run.sigma(run.whole() if whole else sum(count)) ** 2
            lines.append(
                f"{run.name}: {count[0]} rounds{f' and {count[1]} attempts that came to nothing' if count[1] else ''}"
                + (f", charged whole as {run.whole()}" if whole else "")
            )
        found, expected = self._spent(ledger), math.sqrt(squares)
        if not math.isclose(found, expected, rel_tol=1e-6):
            raise Surprise(f"node {node}: its ledger says {found:.9f} sigma, the rounds by hand {expected:.9f}")
        return f"nothing found; {'; '.join(lines)}; {found:.6f} sigma of a person, as by hand"

    def _counted_once(self, node: int, run: Run, ledger: Path) -> tuple[int, int]:
        """(rounds, attempts beside them) of a run that a ledger has, each once."""
        with snapshot(ledger) as database:
            rows = database.execute("SELECT round, attempt FROM entries WHERE kind = 'spend' AND run = ?", (run.name,))
            spends = Counter((int(round_number), int(attempt)) for round_number, attempt in rows)
        published = {(one.round, one.attempt) for one in run.read() if node in one.cohort}
        if max(spends.values()) > 1:
            raise Surprise(f"node {node} counts an attempt of {run.name} twice")
        if self.lost.get(node) != run.name and (missing := published - spends.keys()):
            raise Surprise(f"node {node} does not count {sorted(missing)} of {run.name}")
        return len(published & spends.keys()), len(spends.keys() - published)

    def _spent(self, ledger: Path) -> float:
        """PLE of whoever has spent most, as `afml audit show` says it."""
        shown = json.loads(self._machines.do("audit", "show", ledger, "--json"))
        return max(float(one["ple_sigma"]) for one in shown["enrolments"])
