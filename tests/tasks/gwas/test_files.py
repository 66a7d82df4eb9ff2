"""The result files: GWAS-SSF that its readers take, metadata that says what its columns cannot, a page on its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afml.tasks.gwas.files import CLUMPS, COLUMNS, METADATA, PAGE, TABLE, chromosome, write_results
from afml.tasks.gwas.page import page
from afml.tasks.gwas.results import Scan
from afml.training.inprocess import train_in_process
from tests.tasks.gwas.simulated import SETTINGS, divided, made, people_of, ready, run_of


@pytest.fixture(scope="module")
def scan() -> Scan:
    panel, private = made(1500, sites=80)
    rng = np.random.default_rng(2)
    copies = np.where(private[:, 20] < 0, 0, private[:, 20])
    trait = (copies - copies.mean() + rng.normal(size=1500)).clip(-4, 4)
    settings = SETTINGS | {"assembly": "GRCh38", "covariates": [{"name": "age <b>"[:3]}]}
    run = run_of(settings, {1: 500, 2: 500, 3: 500}, sites=80, ple=3.0)
    task = ready(run, panel)
    train_in_process(run, task, divided(people_of(private, trait, rng.normal(size=(1500, 1))), 3))
    return task.scan()


@pytest.fixture(scope="module")
def folder(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made_in = tmp_path_factory.mktemp("model")
    write_results(scan, made_in)
    return made_in


def rows(path: Path) -> list[dict[str, str]]:
    head, *lines = path.read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_the_table_has_the_columns_of_the_format_in_its_order(scan: Scan, folder: Path) -> None:
    found = rows(folder / TABLE)
    assert tuple(found[0]) == COLUMNS
    assert COLUMNS[:8] == (
        "chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "standard_error",
        "effect_allele_frequency", "p_value",
    )  # fmt: skip
    assert len(found) == 80
    for site, row in enumerate(found):
        assert (row["chromosome"], row["base_pair_location"]) == ("22", str(scan.sites.pos[site]))
        minor = scan.sites.alt[site] if scan.sites.minor_is_alt[site] else scan.sites.ref[site]
        other = scan.sites.ref[site] if scan.sites.minor_is_alt[site] else scan.sites.alt[site]
        assert (row["effect_allele"], row["other_allele"]) == (minor, other)
        assert row["ref_allele"] == ("OA" if scan.sites.minor_is_alt[site] else "EA")
        assert float(row["beta"]) / float(row["standard_error"]) == pytest.approx(scan.score[site], rel=1e-4, abs=1e-5)
        assert -np.log10(float(row["p_value"])) == pytest.approx(scan.neg_log10_p[site], abs=1e-3)
        assert row["n"] == "1500"
        assert 0 < float(row["noise_share"]) < 1
    assert sum(row["followed"] == "1" for row in found) == 8


def test_the_metadata_say_what_the_columns_cannot(scan: Scan, folder: Path) -> None:
    lines = (folder / METADATA).read_text().splitlines()
    stored = {name: json.loads(value) for name, _, value in (line.partition(": ") for line in lines if line[-1] != ":")}
    assert stored["data_file_md5sum"] == hashlib.md5((folder / TABLE).read_bytes(), usedforsecurity=False).hexdigest()
    assert stored["genome_assembly"] == "GRCh38"
    assert stored["samples"] == [{"sample_size": 1500}]
    assert stored["adjusted_covariates"] == ["age", "panel component 1", "panel component 2"]
    assert stored["  ple_sigma"] == "insecure: simulation"
    real = replace(scan, config=scan.config.model_copy(update={"seed": None}))
    assert real.ple_sigma == pytest.approx(3.0, rel=1e-3)
    assert "PLE 3.0" in page(real, [])
    assert "Simulation" in page(scan, [])
    assert stored["  noise"] == "distributed"
    assert "panel" in stored["  effect_allele_frequency"]


def test_the_strongest_clump_leads_to_the_site_with_the_effect(scan: Scan, folder: Path) -> None:
    first, *_ = rows(folder / CLUMPS)
    assert first["base_pair_location"] == str(scan.sites.pos[20])
    assert float(first["beta"]) == pytest.approx(1.0, abs=0.35)
    assert float(first["p_value"]) < 5e-8


def test_the_page_stands_alone_and_says_that_noise_is_in_it(scan: Scan, folder: Path) -> None:
    text = (folder / PAGE).read_text()
    assert text.count("data:image/png;base64,") == 3
    assert "http" not in text
    assert "There is no exact scan beside this one." in text
    assert f"{scan.sites.chrom[20]}:{scan.sites.pos[20]}" in text
    assert "8 sites that were looked at again" in text


@pytest.mark.parametrize(("name", "number"), [("chr7", "7"), ("X", "23"), ("chrMT", "25"), ("HLA*1", "HLA*1")])
def test_chromosomes_are_numbers(name: str, number: str) -> None:
    assert chromosome(name) == number
