"""The gates of `afml prepare` on a command line: one line, nothing left behind, and options that take shares."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from afml.genomics.phenotypes import write_phenotypes
from tests.cli.institution import Institution
from tests.cli.zygote import Zygote
from tests.genomics.test_kinship import independent
from tests.simulated import write_vcf


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Institution:
    return Institution(tmp_path_factory.mktemp("gates"), afml)


def test_a_column_of_one_number_is_said(good: Institution, tmp_path: Path) -> None:
    write_phenotypes(tmp_path / "ones.tsv", good.names, np.ones(len(good.names), dtype=np.int8))
    for table, told in ((tmp_path / "ones.tsv", True), (good.root / "people.tsv", False)):
        done = good.prepare(phenotypes=table, work=tmp_path / f"work-{told}")
        assert done.code == 0, done.err
        assert ("column 'phenotype' holds the same number for everybody: look at how" in done.out) == told


def test_missing_calls_are_refused_and_nothing_is_left(good: Institution, tmp_path: Path) -> None:
    few = np.where(np.random.default_rng(0).random(good.dosage.shape) < 0.6, -1, good.dosage).astype(np.int8)
    write_vcf(tmp_path / "few.vcf.gz", few, samples=good.names)
    work = tmp_path / "work"
    done = good.prepare(vcf=tmp_path / "few.vcf.gz", work=work)
    assert done.code == 2
    assert "40 of 40 people have calls at less than 0.9 of the sites" in done.err
    assert "--min-person-call-rate" in done.err
    assert len(done.err.splitlines()) == 1
    assert re.search(r"people with calls at less than 0.9 of the sites +40 of 40  at most 0", done.out), "it shows why"
    assert sorted(path.name for path in work.iterdir()) == ["holdout.key"]
    options = {"min_person_call_rate": 0.05, "min_site_call_rate": 0.1}
    done = good.prepare(vcf=tmp_path / "few.vcf.gz", work=work, **options)
    assert done.code == 0, done.err
    assert "people with calls at less than 0.05 of the sites" in done.out
    private = work / "data" / "private"
    assert str(private / "qc.html") in done.out
    assert json.loads((private / "qc.json").read_bytes())["stays"]["people"] == 40
    page = (private / "qc.html").read_text()
    assert page.count("data:image/png;base64,") >= 6
    assert "http" not in page, "it needs no network"
    text = re.sub(r"base64,[^\"]*", "", page)
    assert not [name for name in good.names if name in text]
    assert (private / "qc.html").stat().st_mode & 0o777 == 0o600


def test_two_names_of_one_person_are_listed_at_the_site_alone(good: Institution, tmp_path: Path) -> None:
    people = independent(20, 1024, 1)
    people[7] = people[3]
    names = write_vcf(tmp_path / "twice.vcf.gz", people, samples=good.names[:20])
    write_vcf(tmp_path / "panel.vcf.gz", independent(60, 1024, 50), samples=[f"P{i}" for i in range(60)])
    write_phenotypes(tmp_path / "own.tsv", names, np.arange(20, dtype=np.int8) % 2)
    files = {"vcf": "twice.vcf.gz", "panel_vcf": "panel.vcf.gz", "phenotypes": "own.tsv"}
    given = {option: tmp_path / name for option, name in files.items()} | {"sites": 1024, "work": tmp_path / "work"}
    refused = tmp_path / "work" / "refused"
    done = good.prepare(**given)
    assert (
        "1 pairs of columns are the same record under two people's names; see them in refused/related.tsv" in done.err
    )
    assert not re.search(r"\bN\d", done.err + done.out), "nobody is named"
    listed = refused / "related.tsv"
    assert (listed.stat().st_mode & 0o777, refused.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [line.split("\t")[:2] for line in listed.read_text().splitlines()] == [["sample", "sample"], ["N3", "N7"]]
    assert sorted(path.name for path in refused.parent.iterdir()) == ["holdout.key", "refused"]
    (tmp_path / "people.tsv").write_text("sample\tperson\nN7\tN3\n")
    done = good.prepare(**given, people=tmp_path / "people.tsv")
    assert done.code == 0, done.err
    assert not refused.exists()


def test_a_share_is_a_share(good: Institution) -> None:
    assert "--max-absent" in good.prepare(max_absent=1.5).err
    assert "--max-panel-overlap" in good.prepare(max_panel_overlap=-1).err
