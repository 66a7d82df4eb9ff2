"""Small scans: simulated people, and the exact scan of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.consortium.run import Budget, RunConfig, TaskChoice
from afml.tasks.gwas.kind import GWAS
from afml.tasks.gwas.people import DosageArray, ScanPeople
from afml.tasks.gwas.settings import GwasSettings
from afml.tasks.gwas.task import GwasTask
from afml.training.planning import Rounds, Terms
from tests.simulated import simulate_dosage, simulate_panel

SITES, PANEL_PEOPLE = 60, 120
SETTINGS: dict[str, Any] = {"trait": {"name": "height", "kind": "quantitative"}, "components": 2}


def run_of(settings: dict[str, Any], enrolled: dict[int, int], *, sites: int = SITES, ple: float = 0.9, seed: int = 3,
           fingerprint: str = "00") -> RunConfig:  # fmt: skip
    """A run of these settings without reserved attempts."""
    data = DataAgreement(kind="genotypes", fingerprint=fingerprint, features=sites)
    given = GWAS.settings(settings).model_dump(mode="json")
    plan = GWAS.plan(given, data, Rounds(), Terms(ple_sigma=ple, reserve_attempts=0))
    return RunConfig(
        run="scan", consortium="c", task=TaskChoice(kind="gwas", version="1", code="", settings=given), data=data,
        public_part=plan.public_part, enrolled=enrolled, quorum=len(enrolled), bits=24,
        budget=Budget(delta=1e-5, ple_sigma=ple), reserve_attempts=0, phases=plan.phases, seed=seed,
    )  # fmt: skip


def made(people: int, *, sites: int = SITES, seed: int = 1) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(the panel's dosages, private dosages with missing calls) of one population."""
    dosage = simulate_dosage(PANEL_PEOPLE + people, sites, seed)
    private = dosage[PANEL_PEOPLE:].copy()
    private[np.random.default_rng(seed).random(private.shape) < 0.01] = -1
    return dosage[:PANEL_PEOPLE], private


def task_of(run: RunConfig, panel: NDArray[np.int8]) -> GwasTask:
    settings = GWAS.settings(run.task.settings)
    assert isinstance(settings, GwasSettings)
    return GwasTask(run, settings, simulate_panel(panel), panel)


def ready(run: RunConfig, panel: NDArray[np.int8]) -> GwasTask:
    """The same with its public part."""
    task = task_of(run, panel)
    task.load_public(task.train_public())
    return task


def people_of(
    dosage: NDArray[np.int8], trait: NDArray[np.float64], covariates: NDArray[np.float64] | None = None
) -> ScanPeople:
    extras = np.zeros((len(dosage), 0)) if covariates is None else covariates
    return ScanPeople(DosageArray(dosage), np.arange(len(dosage)), trait, extras, dosage.shape[1])


def divided(people: ScanPeople, nodes: int) -> dict[int, ScanPeople]:
    """The same people at so many institutions."""
    found = {}
    for node, rows in enumerate(np.array_split(np.arange(len(people)), nodes), start=1):
        found[node] = ScanPeople(people.calls, people.places[rows], people.trait[rows], people.covariates[rows],
                                 people.sites)  # fmt: skip
    return found
