"""`afml demo` on a small real-format VCF: interrupted in the middle, then run to its end in the same folder."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest

from afml.core.progress import EventReader
from afml.release.package.publication import Publication
from tests import warm
from tests.processes import REPOSITORY, afml, alive, command, environment
from tests.simulated import simulate_csq, simulate_dosage, write_vcf

PEOPLE, PANEL, NODES, SITES = 330, 90, 3, 120
OPTIONS = ("--nodes", NODES, "--panel-people", PANEL, "--sites", SITES, "--rounds", 3, "--game-rounds", 1,
           "--game-steps", 4, "--causal", 5)  # fmt: skip
LIMIT_S = 1500  # what a demo may take where sixteen other processes want the processors
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("a demo")
    dosage = simulate_dosage(PEOPLE, SITES + 30, seed=3)
    names = [f"S{i}" for i in range(PEOPLE)]
    csq = simulate_csq(SITES + 30, 4, ["G"] * (SITES + 30))
    write_vcf(made / "all.vcf.gz", dosage, samples=names, csq=csq)
    populations = np.random.default_rng(5).choice(["A", "B"], PEOPLE)
    rows = [f"{name}\t{population}\n" for name, population in zip(names, populations, strict=True)]
    (made / "people.tsv").write_text("sample\tpopulation\n" + "".join(rows))
    yield made
    for process in alive(made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _start(root: Path) -> subprocess.Popen[str]:
    arguments = command("demo", "--out", root / "out", "--vcf", root / "all.vcf.gz", "--panel",
                        root / "people.tsv", *OPTIONS)  # fmt: skip
    return warm.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
        env=environment() | {"AFML_TEST_MARK": str(root)}, start_new_session=True,
    )  # fmt: skip


def _staged(out: Path) -> list[Path]:
    """What a writer left half done."""
    return [p for p in out.rglob(".*") if p.name not in (".afml-demo", ".lock")]


def test_ctrl_c_in_the_middle_leaves_no_process_and_no_half_file(root: Path) -> None:
    demo = _start(root)
    told, deadline = EventReader(root / "out" / "logs" / "node-1.events"), time.monotonic() + LIMIT_S
    while "keys" not in [event.kind for event in told.new()]:
        assert demo.poll() is None, demo.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(alive(root)) > NODES, "the demo, an aggregator and the nodes"
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to everybody in the foreground
    _, err = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 130
    assert err.split("\n") == ["", "afml: interrupted", ""]  # on a line of its own, after the terminal's ^C
    assert alive(root) == []
    assert _staged(root / "out") == []
    assert not (root / "out" / "report.json").exists()


@pytest.fixture(scope="module")
def ended(root: Path) -> tuple[Path, str]:
    """A second demo in the folder of the interrupted one: its folder, and what it said."""
    demo = _start(root)
    out, err = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 0, err + out
    assert err == ""
    assert alive(root) == []
    return root / "out", out


@pytest.fixture(scope="module")
def finished(ended: tuple[Path, str]) -> Path:
    return ended[0]


def test_a_second_demo_starts_clean_and_ends_with_a_report(finished: Path) -> None:
    assert _staged(finished) == []
    assert (finished / "report.html").stat().st_size > 10_000
    for node in range(1, NODES + 1):
        release = finished / f"node-{node}" / "releases" / "demo" / "1"
        with pysam.VariantFile(str(release / "release.vcf.gz")) as released:
            assert list(released.header.formats) == ["GT"]
            assert len(list(released.header.samples)) == (PEOPLE - PANEL) // NODES
            assert sum(1 for _ in released.fetch("22")) == SITES


def test_every_institution_ends_with_a_published_package(ended: tuple[Path, str]) -> None:
    out, said = ended
    for node in range(1, NODES + 1):
        work, package = out / f"node-{node}", out / f"node-{node}" / "releases" / "demo" / "1"
        publication = Publication.load(package / "publication.json")
        chance = json.loads((package / "release_card.json").read_text())["at_chance"]  # noise decides, in so few rounds
        although = f"; published although {chance}" if chance else ""
        assert f"node {node}: {package}: {publication.line()}{although}\n" in said
        assert all(verdict.met for verdict in publication.verdicts)
        ledger = json.loads(afml("audit", "show", work / "ledger", "--json").stdout)["entries"]
        assert [entry["manifest"] for entry in ledger if entry["kind"] == "publication"] == [publication.manifest]
        roster = out / "kits" / f"node-{node}" / "roster.json"
        assert publication.line() in afml("release", "verify", package, "--roster", roster).stdout
        recipe = afml("release", "recipe", package)  # docs/for/recipient.md: of a package that tells no traits
        assert recipe.returncode == 2
        assert "ask the institution to tell traits with the first package of a run" in recipe.stderr
        # What it found of its own people is exact, and stays: nobody else may enter the folder.
        report = out / "reports" / f"node-{node}"
        assert stat.S_IMODE(report.stat().st_mode) == 0o700
        assert json.loads((report / "report.json").read_text())["scope"] == "own"


NUMBER, TEXT, SHARE = (int, float), str, "share"
CONTRACT: dict[str, Any] = {
    "data": {"kind": TEXT, "people": int, "panel": int, "sites": int, "nodes": int},
    "privacy": {
        "unit": TEXT, "insecure": bool, "epsilon": NUMBER, "delta": NUMBER, "ple_sigma": NUMBER, "ple_at_delta": NUMBER,
        "ple_sigma_fixed_plan": NUMBER, "noise": TEXT, "epsilon_if_aggregation_broken": NUMBER,
        "audited_ple_lower": (int, float, type(None)),
    },
    "federation": {
        "rounds": int, "parameters": int, "bytes_up_per_round": int, "bytes_up_per_parameter": NUMBER,
        "seconds_per_round": NUMBER, "aggregator_rss_mb": NUMBER,
    },
    "release": {
        "rr": SHARE, "rr_ci95": list, "rr_by_attack": dict, "rr_known_institution": SHARE, "candidates": int,
        "chance": SHARE, "utility_auc": SHARE, "raw_auc": SHARE, "utility_ratio": NUMBER,
        "utility_ratio_chance_corrected": NUMBER, "utility_ratio_vs_best_raw": NUMBER,
        "min_group_size": (int, type(None)), "patterns": int, "entropy_bits": NUMBER,
        "retained_fraction": SHARE, "dp": bool,
    },
    "baselines": list,
    "rr_reduction_vs_random": NUMBER,
    "phenotype": {"simulated": bool, "causal_sites": int, "heritability": NUMBER, "seed": int},
    "seconds": dict,
    "versions": dict,
}  # fmt: skip


def _check(value: Any, expected: Any, key: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(value, dict), key
        for name, inner in expected.items():
            assert name in value, f"{key}.{name} is missing"
            _check(value[name], inner, f"{key}.{name}")
    elif expected == SHARE:
        assert isinstance(value, (int, float)), key
        assert 0 <= value <= 1, f"{key} = {value}"
    else:
        assert isinstance(value, expected), f"{key} = {value!r}"
        assert not isinstance(value, float) or math.isfinite(value), f"{key} = {value}"


def test_the_report_keeps_its_contract(finished: Path) -> None:
    text = (finished / "report.json").read_text()
    assert "NaN" not in text
    report = json.loads(text)
    _check(report, CONTRACT, "report")
    assert report["data"] == {
        "kind": "vcf", "people": PEOPLE - PANEL, "panel": PANEL, "sites": SITES, "nodes": NODES
    }  # fmt: skip
    assert report["privacy"]["unit"] == "person"
    assert report["privacy"]["noise"] == "distributed"
    assert report["privacy"]["insecure"] is False
    assert 0 < report["privacy"]["ple_sigma"] <= 0.9
    assert report["privacy"]["epsilon_if_aggregation_broken"] >= report["privacy"]["epsilon"]
    assert report["federation"]["rounds"] == 4
    assert report["release"]["dp"] is False
    assert report["release"]["candidates"] == PEOPLE - PANEL
    assert report["release"]["chance"] == pytest.approx(1 / (PEOPLE - PANEL))
    low, high = report["release"]["rr_ci95"]
    assert low <= report["release"]["rr"] <= high
    assert report["release"]["rr"] == max(report["release"]["rr_by_attack"].values())
    assert report["phenotype"] == {"simulated": True, "causal_sites": 5, "heritability": 0.5, "seed": 1}
    for row in report["baselines"]:
        assert set(row) == {"name", "matched", "rr", "utility_ratio"}
        assert row["matched"] in ("utility", "retention")
    assert {"data", "provision", "prepare", "configure", "federate", "release", "publish"} <= set(report["seconds"])
    assert {"afml", "python", "torch", "opacus", "tenseal", "grpcio"} <= set(report["versions"])


def test_what_it_says_is_what_it_did(finished: Path) -> None:
    """Books and report agree: every node's ledger holds as many rounds as were published."""
    summary = json.loads((finished / "aggregator" / "summary.json").read_text())
    assert summary["rounds"] == 4
    assert len((finished / "aggregator" / "transcript.jsonl").read_text().splitlines()) == 4
    sent = {(upload["round"], upload["parameters"]) for upload in summary["uploads"]}
    assert {round_number for round_number, _ in sent} == {1, 2, 3, 4}
    assert len(summary["uploads"]) == 4 * NODES
