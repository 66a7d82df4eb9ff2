"""The trial of small consortia: one tiny run, and what many come to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afml.evaluation.utility import Outcome, raw_auc, released_auc
from afml.release.planning import untried_plan
from afml.study import small, small_grid
from afml.study.data import DataSettings, simulated
from afml.study.small import NOTHING, PRODUCT, Cell, Reached, SmallRun, _static, draw, small_run
from afml.study.small_grid import SmallPlaces, drawn_alike, grid, make_small, strongest_rival, verdict, write_small
from tests.study.conftest import SITES, phases

CELL = Cell("simulated", 200, 3, 0.9)
DATA = simulated(DataSettings(kind="simulated", sites=SITES, people=420, panel_people=60, nodes=5))


def test_people_of_a_seed_are_in_one_place_each() -> None:
    population = np.concatenate(DATA.files)
    drawn = draw(CELL, 5, population)
    assert [len(file) for file in drawn.own] == [40] * 5
    assert [len(file) for file in drawn.others] == [40] * 5
    assert {row.tobytes() for row in drawn.dosage} <= {row.tobytes() for row in population}
    assert len(drawn.case) == len(drawn.dosage) == 400
    training = drawn.outcome.training
    assert not training[drawn.count :].any()
    assert 120 < training[: drawn.count].sum() < 180
    again, other = draw(CELL, 5, population), draw(CELL, 6, population)
    assert np.array_equal(again.dosage, drawn.dosage)
    assert not np.array_equal(other.dosage, drawn.dosage)


def test_a_run_holds_the_product_and_every_rival() -> None:
    people, plan = draw(CELL, 1001, np.concatenate(DATA.files)), phases(0.9, SITES, 0.1, 1)
    run = small_run(CELL, people, DATA, plan)
    assert set(run.reached) == {
        PRODUCT, NOTHING, *(f"static {n}" for n in (1, 2, 3)), *(f"greedy {n}" for n in (3, 5, 10)),
        *(f"binned {n}" for n in (2, 3, 4, 6, 8, 10)),
    }  # fmt: skip
    assert run.reached[PRODUCT].rr_bound <= run.patterns / 200
    assert run.reached["static 1"].rr_bound == 3 / 200
    assert run.reached[NOTHING].rr_bound == 1 / 200
    again = draw(replace(CELL, ple=0.3), 1001, np.concatenate(DATA.files))  # a PLE has no part in who is drawn
    assert run == small_run(CELL, again, DATA, plan)


def test_the_greedy_rivals_are_those_that_are_learned_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("simulated", 400, 3, 1.5)  # files of 80: room for a few patterns
    people, plan = draw(cell, 1002, np.concatenate(DATA.files)), phases(1.5, SITES, 0.1, 1)
    run = small_run(cell, people, DATA, plan)
    for count in (3, 5):
        monkeypatch.setattr(small, "GREEDY", (count,))
        assert small_run(cell, people, DATA, plan).reached[f"greedy {count}"] == run.reached[f"greedy {count}"]


def test_a_release_that_is_read_by_its_table_is_judged_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's own fill lets it show genotypes of two major alleles, whose dosages say nothing."""
    read: list[tuple[str, int]] = []

    def told(released: np.ndarray, outcome: Outcome) -> float:
        read.append(("scores" if released.dtype == np.float64 else "dosages", released.shape[1]))
        return 0.5

    def plan(model, panel, settings, *, people_per_file):  # type: ignore[no-untyped-def]
        assert settings.fill == "missing"
        few = settings.model_copy(update={"method": "levels", "patterns": 4, "min_group_size": 5})
        return untried_plan(model, panel, few, people_per_file)

    monkeypatch.setattr(small, "released_auc", told)
    monkeypatch.setattr(small, "plan_release", plan)
    small_run(CELL, draw(CELL, 1003, np.concatenate(DATA.files)), DATA, phases(0.9, SITES, 0.1, 1))
    assert read[0] == ("scores", 1)
    assert {kind for kind, _ in read[1:]} == {"dosages"}


def test_a_rival_is_judged_as_the_evaluation_judges() -> None:
    people = draw(CELL, 7, np.concatenate(DATA.files))
    outcome = Outcome(people.case, people.outcome.training)
    raw = raw_auc(people.dosage, outcome)
    assert people.raw == raw

    class Model:
        weights = np.where(np.arange(SITES) == 9, 2.0, 0.0)

    name, reached = next(_static(people, Model()))  # type: ignore[arg-type]
    released = np.zeros_like(people.dosage)
    released[:, 9] = people.dosage[:, 9]
    assert name == "static 1"
    assert reached.ratio == pytest.approx(released_auc(released, outcome) / raw)


def _run(seed: int, auto: float, **others: tuple[float, float]) -> SmallRun:
    reached = {PRODUCT: Reached(auto, 0.01), NOTHING: Reached(0.8, 0.001)}
    reached |= {name: Reached(*one) for name, one in others.items()}
    return SmallRun(seed, reached, "codebook" if seed % 2 else "static", 4, 0.1, at_chance=seed == 1)


def test_the_rival_is_the_strongest_that_is_no_easier_to_identify() -> None:
    tuning = [_run(1000 + i, 1.0, easy=(1.2, 0.02), fair=(0.9 + 0.02 * i, 0.01), weak=(0.85, 0.005)) for i in range(3)]
    assert strongest_rival(tuning) == "fair"
    assert strongest_rival([_run(1000, 1.0, easy=(1.2, 0.02))]) == NOTHING


def test_a_verdict_is_the_interval_of_paired_differences() -> None:
    tuning = [_run(1000, 1.0, fair=(0.9, 0.01))]
    trial = [_run(seed, 1.0 + 0.01 * seed, fair=(1.0, 0.01)) for seed in (1, 2, 3, 4)]
    found = verdict(CELL, tuning, trial)
    assert found.rival == "fair"
    assert found.difference == pytest.approx(0.025)
    # t quantile of three degrees of freedom 3.1824, standard deviation 0.01291, square root of four.
    assert found.interval == pytest.approx((0.025 - 3.18245 * 0.0129099 / 2, 0.025 + 3.18245 * 0.0129099 / 2), rel=1e-4)
    assert found.methods == {"codebook": 2, "static": 2}
    assert found.at_chance == 0.25
    assert found.reached
    assert not replace(found, interval=(-0.02, 0.1)).reached


def test_the_grid_is_the_one_of_the_plan() -> None:
    assert len(grid(real=False)) == 3 * 3 * 3 + 1
    assert len(grid(real=True)) == len(grid(real=False)) + 2 * 2 * 2 + 1
    assert len(grid(real=True, full=True)) == 2 * (4 * 3 * 4 + 1)
    names = {cell.name for cell in grid(real=True, full=True)}
    assert len(names) == len(grid(real=True, full=True))
    assert names > {cell.name for cell in grid(real=True)}


def test_cells_that_differ_in_their_ple_are_made_together() -> None:
    groups = drawn_alike(grid(real=True))
    assert [len(group) for group in groups] == [*[3] * 9, *[2] * 4, 1, 1]
    for group in groups:
        assert len({(cell.kind, cell.people, cell.causal, cell.heritability) for cell in group}) == 1


def test_runs_are_made_once_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, int]] = []

    def make(cells: tuple[Cell, ...], seed: int, places: SmallPlaces) -> None:
        for cell in cells:
            keep(cell, seed, places)

    def keep(cell: Cell, seed: int, places: SmallPlaces) -> None:
        made.append((cell.name, seed))
        body = {"seed": seed, "method": "static", "patterns": 3, "expected": 0.1, "at_chance": False}
        reached = {PRODUCT: {"ratio": 1.0, "rr_bound": 0.1}, NOTHING: {"ratio": 0.9, "rr_bound": 0.1}}
        path = places.run(cell, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body | {"reached": reached}))

    class Inline:
        """Runs at once what a pool would."""

        def __init__(self, workers: int) -> None: ...
        def __enter__(self) -> Inline:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, function, *arguments):  # type: ignore[no-untyped-def]
            from concurrent.futures import Future

            done: Future[None] = Future()
            done.set_result(function(*arguments))
            return done

    monkeypatch.setattr(small_grid, "_make", make)
    monkeypatch.setattr(small_grid, "_population", lambda *_: None)
    monkeypatch.setattr(small_grid, "ProcessPoolExecutor", Inline)
    cells = [CELL, replace(CELL, ple=0.3), replace(CELL, causal=5)]
    places, seeds = SmallPlaces(None, tmp_path / "cache"), (*small_grid.TUNING, *small_grid.trial_seeds(CELL))
    assert (len(seeds), len(small_grid.trial_seeds(replace(CELL, people=2000)))) == (230, 50)
    said: list[str] = []
    assert list(make_small(cells[:1], places, workers=1, say=said.append)) == cells[:1]
    assert sorted(made) == sorted((CELL.name, seed) for seed in seeds)
    for _ in range(2):
        assert list(make_small(cells[:2], places, workers=1, say=said.append)) == cells[:2]
    assert sorted(made) == sorted((cell.name, seed) for cell in cells[:2] for seed in seeds)
    found = write_small(tmp_path / "out", cells, places)
    assert [one.cell for one in found] == [cell.name for cell in cells[:2]]
    stored = json.loads((tmp_path / "out" / "small.json").read_text())
    assert stored["missing"] == [cells[2].name]
    assert stored["cells"][0]["difference"] == pytest.approx(0.1)
    assert "2 of 2 cells reach it; 1 cells" in (tmp_path / "out" / "small.md").read_text()
    assert "+0.100 [+0.100, +0.100] against nothing" in said[0]
