"""Small statistics runs: simulated people, and exact figures of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, RunConfig, TaskChoice
from afml.study.genomes import simulate_dosage, simulated_panel
from afml.tasks.statistics.columns import Cells
from afml.tasks.statistics.kind import STATISTICS
from afml.tasks.statistics.people import Read
from afml.tasks.statistics.task import PublicSites
from afml.training.planning import Rounds, Terms


class People:
    """People in memory; see `StatisticsPeople`.

    Args:
        dosage: [people, S].
        cells: Column -> values of all rows, person by person.
        rows: Of each person; by default one.
    """

    def __init__(
        self, dosage: NDArray[np.int8], cells: Cells | None = None, rows: NDArray[np.int64] | None = None
    ) -> None:
        self.dosage, self.cells = dosage, cells or {}
        self.rows = np.ones(len(dosage), np.int64) if rows is None else rows

    def __len__(self) -> int:
        return len(self.dosage)

    def digest(self) -> str:
        return str(len(self))

    def read(self, people: NDArray[np.int64]) -> Read:
        ends = np.cumsum(self.rows)
        picked = [np.arange(ends[person] - self.rows[person], ends[person]) for person in people]
        rows = np.concatenate([np.zeros(0, np.int64), *picked]).astype(np.int64)
        cells = {name: values[rows] for name, values in self.cells.items()}
        return Read(cells, self.rows[people], self.dosage[people])


def panel_and_people(
    people: int, sites: int, seed: int, *, panel_people: int = 100, missing: float = 0.01
) -> tuple[PublicSites, NDArray[np.int8]]:
    """(public panel, private dosages with missing calls) of one population."""
    dosage = simulate_dosage(people + panel_people, sites, seed)
    public, private = dosage[:panel_people], dosage[panel_people:].copy()
    private[np.random.default_rng(seed).random(private.shape) < missing] = -1
    return PublicSites(simulated_panel(public), public), private


def run_of(
    settings: dict[str, Any], enrolled: dict[int, int], features: int, *, kind: str = "genotypes", ple: float = 0.5,
    seed: int | None = 3,
) -> RunConfig:  # fmt: skip
    """A run of these settings without reserved attempts."""
    data = DataAgreement(kind=kind, fingerprint="00", features=features)
    given = STATISTICS.settings(settings).model_dump(mode="json")
    plan = STATISTICS.plan(given, data, Rounds(), Terms(ple_sigma=ple, reserve_attempts=0))
    return RunConfig(
        run="stats", consortium="c", task=TaskChoice(kind="statistics", version="1", code="", settings=given),
        data=data, enrolled=enrolled, quorum=len(enrolled), budget=Budget(delta=1e-5, ple_sigma=ple), bits=20,
        reserve_attempts=0, phases=plan.phases, seed=seed,
    )  # fmt: skip


TABLE: dict[str, Any] = {
    "columns": [
        {"name": "age", "low": 20, "high": 100, "bins": 8},
        {"name": "sex", "kind": "category", "categories": ["f", "m"]},
        {"name": "ill", "kind": "binary"},
        {"name": "dose", "low": 0, "high": 4, "bins": 4, "missing": True},
    ],
    "cross": [["sex", "ill"], ["age", "sex", "ill"]],
}


def table_people(people: int, seed: int, *, rows: int = 1) -> People:
    """People of `TABLE`, each with so many rows at most."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, rows + 1, people)
    total = int(counts.sum())
    dose = rng.uniform(0, 4, total)
    dose[rng.random(total) < 0.2] = np.nan
    cells = {
        "age": rng.normal(60, 15, total),
        "sex": rng.integers(0, 2, total).astype(float),
        "ill": (rng.random(total) < 0.3).astype(float),
        "dose": dose,
    }
    return People(np.zeros((people, 0), np.int8), cells, counts)
