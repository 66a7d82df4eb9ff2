"""The attack bench: files of unknown make, on cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Int8, Knowledge
from afml.evaluation.bench import Bench, BenchInputs, FileAlone, bench
from afml.evaluation.bench_report import BenchFile, BenchReport, bench_lines, write_bench
from afml.evaluation.disclosure.nearest import NearestRecord
from afml.evaluation.masks import random_mask
from tests.simulated import simulate_dosage


@pytest.fixture(scope="module")
def people() -> tuple[Int8, Int8]:
    dosage = simulate_dosage(260, 96, 12)
    return dosage[:100], dosage[100:]


def found_of(people: tuple[Int8, Int8], released: Int8, **given: object) -> Bench:
    return bench(BenchInputs(released, *people, **given))  # type: ignore[arg-type]


def test_unmasked_records_are_all_linked_and_all_members_found(people: tuple[Int8, Int8]) -> None:
    order = np.random.default_rng(0).permutation(100)
    found = found_of(people, people[0][order], truth=order)
    assert found.linked is not None
    assert found.linked.rr == 1.0
    assert found.linked.groups.even
    assert found.linked.recovery.accuracy > 0.98
    assert found.linked.relatives[0].rr > found.linked.relatives[2].rr
    assert found.membership.auc == 1.0
    assert found.frequencies.correlation == pytest.approx(1.0)


def test_masked_records_are_linked_by_what_they_show(people: tuple[Int8, Int8]) -> None:
    released = random_mask(0.2, -1, 4)(people[0])
    found = found_of(people, released, truth=np.arange(100))
    assert found.linked is not None
    assert found.linked.rr > 0.8
    nothing = found_of(people, np.full_like(released, -1), truth=np.arange(100))
    assert nothing.linked is not None
    assert nothing.linked.rr == pytest.approx(0.01, abs=1e-9)
    assert nothing.membership.auc == pytest.approx(0.5, abs=1e-9)
    assert nothing.frequencies.correlation is None


def test_synthetic_records_are_asked_for_members_alone(people: tuple[Int8, Int8]) -> None:
    """Copies with a tenth of the genotypes drawn anew betray their people; drawn from frequencies, hardly."""
    rng = np.random.default_rng(7)
    frequency = people[0].mean(axis=0) / 2
    drawn = rng.binomial(2, frequency, size=people[0].shape).astype(np.int8)
    copied = np.where(rng.random(drawn.shape) < 0.1, drawn, people[0])
    near, far = found_of(people, copied), found_of(people, drawn)
    assert near.linked is None
    assert near.membership.auc > 0.99
    assert far.membership.auc < 0.8


def test_the_nearest_record_is_the_slow_one() -> None:
    rng = np.random.default_rng(1)
    released, profiles = rng.integers(-1, 3, (2, 30, 17), dtype=np.int8)
    released[3] = -1
    found = NearestRecord().score(released, profiles, Knowledge(profiles, lambda d: d))
    for person, score in zip(profiles, found, strict=True):
        distances = []
        for record in released:
            both = (record >= 0) & (person >= 0)
            distances.append((record != person)[both].mean() if both.any() else 1.0)
        assert -score == pytest.approx(min(distances), abs=1e-6)


def test_what_a_file_shows_is_a_distribution_for_every_genotype(people: tuple[Int8, Int8]) -> None:
    shown = np.random.default_rng(2).dirichlet(np.ones(4), size=96)
    known = FileAlone(people[1], lambda d: d, shown=shown, noise=0.3)
    np.testing.assert_allclose(known.channel.sum(axis=2), 1.0, atol=1e-5)
    np.testing.assert_allclose(known.channel[:, :, 0], np.repeat(shown[:, :1], 3, axis=1), atol=1e-5)
    told = known.channel[:, 1, 2] / (1 - shown[:, 0])
    assert (told > 0.7 - 1e-6).all()


def test_what_does_not_fit_is_refused(people: tuple[Int8, Int8]) -> None:
    with pytest.raises(InputError, match="do not share their sites"):
        found_of(people, people[0][:, :5])
    with pytest.raises(InputError, match="do not share their sites"):
        found_of(people, people[0][:0])


def test_the_report_is_written_and_its_lines_say_the_worst(people: tuple[Int8, Int8], tmp_path: Path) -> None:
    found = found_of(people, people[0], truth=np.arange(100))
    one = BenchFile(file="tool.vcf.gz", found=found)
    report = BenchReport(files=(one,), seed=1)
    write_bench(report, tmp_path / "bench.json")
    assert BenchReport.load(tmp_path / "bench.json") == report
    lines = dict(bench_lines(one))
    assert lines["re-identification rate"].startswith("100 %")
    assert "AUC 1.000" in lines["membership"]
    uneven = replace(found.linked, groups=replace(found.linked.groups, ratio=3.0))  # type: ignore[type-var]
    worse = BenchFile(file="x", found=replace(found, linked=uneven))
    assert "MORE THAN 2 times" in dict(bench_lines(worse))["  worst group"]
    synthetic = BenchFile(file="y", found=replace(found, linked=None))
    assert "--pairs" in dict(bench_lines(synthetic))["re-identification"]
