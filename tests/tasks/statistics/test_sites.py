"""Frequencies of sites: without noise the exact ones, with noise within what the result says, never silent."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.tasks.release.blocks import SHORTENED
from afml.tasks.statistics.kind import STATISTICS
from afml.tasks.statistics.pages import equilibrium
from afml.tasks.statistics.settings import StatisticsSettings
from afml.tasks.statistics.site_results import site_arrays
from afml.tasks.statistics.sites import site_values
from afml.tasks.statistics.task import PublicSites, StatisticsTask
from afml.training.clipping import clipped_part
from afml.training.inprocess import train_in_process
from crypto.public.random import SeededRandom
from tests.tasks.statistics.simulated import People, panel_and_people, run_of
from tests.training.contract import keeps_the_contract

SITES = 30
Arrays = dict[str, NDArray[np.float64]]


def task_of(run: RunConfig, public: PublicSites) -> StatisticsTask:
    settings = STATISTICS.settings(run.task.settings)
    assert isinstance(settings, StatisticsSettings)
    return StatisticsTask(run, settings, public)


def slowly(dosage: NDArray[np.int8]) -> dict[str, list[float]]:
    """The exact figures of some people, site by site and person by person."""
    found: dict[str, list[float]] = {"frequency": [], "heterozygous": [], "homozygous": [], "missing": []}
    for site in range(dosage.shape[1]):
        called = [int(copies) for copies in dosage[:, site] if copies >= 0]
        found["frequency"].append(sum(called) / (2 * len(called)))
        found["heterozygous"].append(called.count(1) / len(called))
        found["homozygous"].append(called.count(2) / len(called))
        found["missing"].append(1 - len(called) / len(dosage))
    return found


def test_the_task_keeps_the_contract() -> None:
    public, private = panel_and_people(8, SITES, 1)
    run = run_of({}, {1: 8, 2: 8, 3: 8}, SITES)
    keeps_the_contract(lambda: task_of(run, public), run, People(private))


def test_without_noise_the_figures_are_exact() -> None:
    public, private = panel_and_people(300, SITES, 2, panel_people=400, missing=0.05)
    run = run_of({"most_missing": 1.0}, {1: 100, 2: 100, 3: 100}, SITES)
    task = task_of(run, public)
    total = clipped_part(task, 0, 1.0, People(private), np.arange(300), SeededRandom(1))
    estimates = task.vector(0).estimates(total, 300, 1e-9)
    assert abs(float(estimates[SHORTENED].sum[0])) < 0.5
    arrays, exact = site_arrays(estimates, 300, public.panel, public.people), slowly(private)
    for name, values in exact.items():
        np.testing.assert_allclose(arrays[name], values, atol=1e-6, err_msg=name)
    f, homozygous = np.array(exact["frequency"]), np.array(exact["homozygous"])
    np.testing.assert_allclose(arrays["disequilibrium"], homozygous - f * f, atol=1e-6)
    np.testing.assert_allclose(arrays["combined"], f, atol=1e-6)


def test_a_contrast_is_orthogonal_to_the_number_of_alleles_in_equilibrium() -> None:
    p = np.array([0.01, 0.2, 0.5])
    every = np.repeat([[0], [1], [2]], 3, axis=1).astype(np.int8)
    shares = np.stack([(1 - p) ** 2, 2 * p * (1 - p), p**2])
    d, t = site_values("alleles", every, p), site_values("genotypes", every, p)
    np.testing.assert_allclose(t, np.stack([2 * p**2, -2 * p * (1 - p), 2 * (1 - p) ** 2]))
    np.testing.assert_allclose((shares * t).sum(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose((shares * t * d).sum(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose((shares * t * t).sum(axis=0), (2 * p * (1 - p)) ** 2)


def _noised(seed: int) -> tuple[Arrays, dict[str, list[float]]]:
    public, private = panel_and_people(600, SITES, 3, panel_people=80)
    run = run_of({}, {1: 200, 2: 200, 3: 200}, SITES, ple=2.0, seed=seed)
    task = task_of(run, public)
    train_in_process(run, task, {node: People(private[200 * (node - 1) : 200 * node]) for node in (1, 2, 3)})
    model = task.model()
    names = {name.removeprefix("sites."): np.asarray(array) for name, array in model.arrays.items()}
    return names, slowly(private)


def test_errors_are_what_the_result_says() -> None:
    """Ten seeds of 30 sites: standardised errors have a root mean square of 1 within its own error."""
    apart: dict[str, list[NDArray[np.float64]]] = {}
    for seed in range(10):
        arrays, exact = _noised(seed)
        for name, values in exact.items():
            apart.setdefault(name, []).append((arrays[name] - np.array(values)) / arrays[f"{name}_noise"])
        f, homozygous = np.array(exact["frequency"]), np.array(exact["homozygous"])
        z = (arrays["disequilibrium"] - (homozygous - f * f)) / arrays["disequilibrium_noise"]
        apart.setdefault("disequilibrium", []).append(z)
    for name, values in apart.items():
        z = np.concatenate(values)
        assert 0.85 < np.sqrt((z**2).mean()) < 1.15, name
        assert abs(z.mean()) < 0.25, name


def test_the_panel_makes_frequencies_better_on_average() -> None:
    alone, combined, panel_alone = 0.0, 0.0, 0.0
    public, _ = panel_and_people(600, SITES, 3, panel_people=80)
    for seed in range(5):
        arrays, exact = _noised(seed)
        truth = np.array(exact["frequency"])
        alone += float(np.abs(arrays["frequency"] - truth).mean())
        combined += float(np.abs(arrays["combined"] - truth).mean())
        panel_alone += float(np.abs(public.panel.maf - truth).mean())
    assert combined < alone
    assert combined < panel_alone


def test_people_beyond_the_bound_are_counted() -> None:
    public, private = panel_and_people(60, SITES, 4, panel_people=400)
    strange = private.copy()
    strange[:20] = 2  # nobody on the panel is like that
    run = run_of({"sites": ["alleles"]}, {1: 20, 2: 20, 3: 20}, SITES)
    task = task_of(run, public)
    total = clipped_part(task, 0, 1.0, People(strange), np.arange(60), SeededRandom(1))
    assert float(task.vector(0).estimates(total, 60, 1.0)[SHORTENED].sum[0]) == pytest.approx(20, abs=0.1)


def test_two_machines_make_the_same_vector() -> None:
    """Centres, weights and bounds are elementwise arithmetic in one order: equal to the last bit."""
    public, _ = panel_and_people(10, SITES, 5)
    run = run_of({}, {1: 8, 2: 8, 3: 8}, SITES)
    first, second = (
        task_of(run, public).vector(0),
        task_of(run, PublicSites(public.panel, public.dosage.copy(order="F"))),
    )
    assert [block.bound for block in first.blocks] == [block.bound for block in second.vector(0).blocks]


def test_a_site_out_of_equilibrium_is_found() -> None:
    z, p = equilibrium(0.05, 0.005)
    assert z == pytest.approx(10)
    assert p < 1e-20
    assert equilibrium(0.0, 0.0) == (0.0, 1.0)
