"""The exact scan of the benchmark beside one least squares a site, and what counts as recalled and as false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afml.study.data import StudyData
from afml.tasks.gwas.clumps import Clump
from afml.tasks.gwas.results import Scan
from benchmarks import scans
from tests.simulated import simulate_panel
from tests.tasks.gwas.simulated import made


@pytest.fixture(scope="module")
def data() -> StudyData:
    panel, private = made(300, sites=40)
    sites = replace(simulate_panel(panel), pos=400_000 * np.arange(1, 41, dtype=np.int64))
    return StudyData(sites, panel, panel, tuple(np.array_split(private, 5)), ())


@pytest.fixture(scope="module")
def trait(data: StudyData) -> np.ndarray:
    copies = np.concatenate(data.files)[:, 11]
    return np.asarray(np.random.default_rng(3).normal(size=300) + np.where(copies < 0, 0, copies))


@pytest.fixture(scope="module")
def scanned(data: StudyData, trait: np.ndarray) -> tuple[Scan, scans.GwasTask]:
    return scans.scan(data, trait, 5, "distributed")


def test_the_exact_scan_is_one_least_squares_a_site(
    data: StudyData, trait: np.ndarray, scanned: tuple[Scan, scans.GwasTask]
) -> None:
    _, task = scanned
    standardised = task.public.centring.standardised(np.concatenate(data.files))
    explained = np.column_stack([np.ones(300), task.public.ancestry.scores(standardised)])
    found = scans.exact(data, trait, task)
    for site in (0, 11, 39):
        design = np.column_stack([explained, standardised[:, site]])
        beta, rest, *_ = np.linalg.lstsq(design, trait, rcond=None)
        error = np.sqrt(rest[0] / (300 - design.shape[1]) * np.linalg.inv(design.T @ design)[-1, -1])
        assert found[site] == pytest.approx(beta[-1] / error)
    assert int(np.argmax(np.abs(found))) == 11


def test_a_hit_is_recalled_by_a_lead_beside_it_and_a_clump_without_a_cause_is_false(
    scanned: tuple[Scan, scans.GwasTask],
) -> None:
    scan, _ = scanned
    score = np.zeros(40)
    score[11], score[30] = 9.0, 7.0
    found = replace(scan, score=score)
    hits = [Clump(11, 20.0, (11,)), Clump(20, 8.0, (20,))]
    assert scans.compared(hits, found, np.array([11, 20])) == scans.Found(2, 1, 2, 1, scan.noise_share.mean())
    assert scans.compared(hits, found, np.array([11, 30])).false == 0
