"""The gates of `afml prepare` on a command line: one line, nothing left behind, and options that take shares."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.institution import Institution
from tests.cli.zygote import Zygote
from tests.simulated import write_vcf


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Institution:
    return Institution(tmp_path_factory.mktemp("gates"), afml)


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


def test_a_share_is_a_share(good: Institution) -> None:
    assert "--max-absent" in good.prepare(max_absent=1.5).err
    assert "--max-panel-overlap" in good.prepare(max_panel_overlap=-1).err
