"""Figures of columns: without noise the exact ones, with noise within what the result says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.tasks.statistics.column_results import Figure, column_figures
from afml.tasks.statistics.kind import STATISTICS
from afml.tasks.statistics.settings import StatisticsSettings
from afml.tasks.statistics.task import StatisticsTask
from afml.training.clipping import clipped_part
from afml.training.inprocess import train_in_process
from crypto.public.random import SeededRandom
from tests.tasks.statistics.simulated import TABLE, People, run_of, table_people
from tests.training.contract import keeps_the_contract

ENROLLED = {1: 100, 2: 100, 3: 100}
RUN = run_of(TABLE, ENROLLED, 4, kind="table")
SETTINGS = StatisticsSettings.model_validate(TABLE)


def task() -> StatisticsTask:
    return StatisticsTask(RUN, SETTINGS, None)


def exact(people: People) -> list[Figure]:
    """The figures of a release without noise."""
    made = task()
    total = clipped_part(made, 0, 1.0, people, np.arange(len(people)), SeededRandom(1))
    return column_figures(SETTINGS, made.vector(0).estimates(total, len(people), 1e-9), len(people))


def weights(people: People) -> NDArray[np.float64]:
    """Of every row: a person's rows share that person."""
    return np.repeat(1 / people.rows, people.rows)


def value(figures: list[Figure], of: str, figure: str, cell: str = "") -> float:
    (found,) = [one for one in figures if (one.of, one.figure, one.cell) == (of, figure, cell)]
    return found.value


def test_the_task_keeps_the_contract() -> None:
    keeps_the_contract(task, RUN, table_people(9, 1, rows=3))


@pytest.mark.parametrize("rows", [1, 3])
def test_without_noise_the_figures_are_exact(rows: int) -> None:
    people = table_people(300, 2, rows=rows)
    figures, w = exact(people), weights(people)
    age = np.clip(people.cells["age"], 20, 100)
    mean = float((w * age).sum()) / 300
    assert value(figures, "age", "mean") == pytest.approx(mean, abs=1e-4)
    assert value(figures, "age", "variance") == pytest.approx(float((w * (age - mean) ** 2).sum()) / 300, abs=1e-2)
    for low in range(20, 100, 10):
        inside = (age >= low) & ((age < low + 10) | ((low == 90) & (age == 100)))
        closed = "]" if low == 90 else ")"
        assert value(figures, "age", "count", f"[{low}, {low + 10}{closed}") == pytest.approx(
            float(w[inside].sum()), abs=1e-2
        )
    sex, ill, dose = people.cells["sex"], people.cells["ill"], people.cells["dose"]
    assert value(figures, "sex", "count", "m") == pytest.approx(float(w[sex == 1].sum()), abs=1e-2)
    assert value(figures, "ill", "count", "1") == pytest.approx(float(w[ill == 1].sum()), abs=1e-2)
    assert value(figures, "ill", "count", "0") == pytest.approx(float(w[ill == 0].sum()), abs=1e-2)
    known = ~np.isnan(dose)
    assert value(figures, "dose", "missing") == pytest.approx(float(w[~known].sum()), abs=1e-2)
    assert value(figures, "dose", "mean") == pytest.approx(
        float((w * np.nan_to_num(dose)).sum() / w[known].sum()), abs=1e-3
    )
    both = (sex == 1) & (ill == 1)
    assert value(figures, "sex x ill", "count", "m, 1") == pytest.approx(float(w[both].sum()), abs=1e-2)
    young = both & (age >= 40) & (age < 50)
    assert value(figures, "age x sex x ill", "count", "[40, 50), m, 1") == pytest.approx(
        float(w[young].sum()), abs=1e-2
    )


def test_quantiles_are_those_of_the_histogram() -> None:
    people = table_people(300, 3)
    figures = exact(people)
    counts, edges = np.histogram(np.clip(people.cells["age"], 20, 100), bins=8, range=(20, 100))
    below = np.concatenate([[0], counts.cumsum()]) / 300
    for share in SETTINGS.quantiles:
        assert value(figures, "age", f"quantile {share:g}") == pytest.approx(
            float(np.interp(share, below, edges)), abs=0.1
        )


def test_nobody_has_a_vector_beyond_the_bound() -> None:
    people = table_people(40, 4, rows=4)
    rows = task().gradients(0, people, np.arange(40), SeededRandom(1))
    vectors = np.concatenate([block.gradients[0].numpy().reshape(40, -1) for block in rows], axis=1)
    assert np.linalg.norm(vectors, axis=1).max() <= 1.0


def test_errors_are_what_the_result_says() -> None:
    """Twenty seeds: standardised errors have a root mean square of 1 within its own error; intervals hold the truth."""
    groups = {node: table_people(100, 10 + node) for node in ENROLLED}
    pooled = People(
        np.zeros((300, 0), np.int8),
        {name: np.concatenate([group.cells[name] for group in groups.values()]) for name in groups[1].cells},
    )
    truth = exact(pooled)
    apart, inside = [], []
    for seed in range(20):
        run = run_of(TABLE, ENROLLED, 4, kind="table", ple=3.0, seed=seed)
        made = StatisticsTask(run, SETTINGS, None)
        train_in_process(run, made, groups)
        for found, true in zip(column_figures(SETTINGS, made.estimates(0), 300), truth, strict=True):
            if math.isnan(found.low):
                apart.append((found.value - true.value) / found.noise)
            else:
                inside.append(found.low <= true.value <= found.high)
    assert 0.93 < np.sqrt(np.mean(np.square(apart))) < 1.07
    assert np.mean(inside) > 0.93


def test_a_run_says_how_long_its_vector_is_before_anybody_has_data() -> None:
    (phase,) = RUN.phases
    assert phase.parameters == len(task().vector(0)) == 1 + 1 + 8 + 2 + 1 + (1 + 1 + 4 + 1) + 4 + 32
    assert STATISTICS.lengths(RUN) == (phase.parameters,)
