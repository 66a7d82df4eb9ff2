"""The contract of report.json, the page and the terminal tables."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from afml.core.errors import InputError
from afml.evaluation.details import Details
from afml.evaluation.page import PageDetails, amount, percent, points, write_html
from afml.evaluation.report import FrontierPoint, Report, read_json, write_json
from afml.evaluation.terminal import print_report

EXAMPLE: dict[str, Any] = {
    "data": {"kind": "simulated", "people": 2000, "panel": 500, "sites": 1024, "nodes": 5},
    "privacy": {
        "unit": "person", "epsilon": 3.87, "delta": 1e-5, "ple_sigma": 0.9, "ple_at_delta": 0.9,
        "noise": "distributed", "epsilon_if_aggregation_broken": 9.1, "audited_ple_lower": None,
    },
    "federation": {
        "rounds": 20, "parameters": 1024, "bytes_up_per_round": 33012, "bytes_up_per_parameter": 32.2,
        "seconds_per_round": 0.3, "aggregator_rss_mb": 93.0,
    },
    "release": {
        "rr": 0.004, "rr_ci95": [0.002, 0.008], "rr_by_attack": {"masker-aware": 0.004, "kinship": 0.001},
        "rr_known_institution": 0.02, "candidates": 2000, "chance": 0.0005,
        "utility_auc": 0.8, "raw_auc": 0.75,
        "utility_ratio": 1.07, "utility_ratio_chance_corrected": 1.2, "utility_ratio_vs_best_raw": 0.97,
        "min_group_size": 20, "patterns": 10, "entropy_bits": 3.1, "retained_fraction": 0.0008,
        "method": "codebook", "dp": False,
    },
    "baselines": [{"name": "random masking", "matched": "utility", "rr": 1.0, "utility_ratio": 1.0}],
    "rr_reduction_vs_random": 0.996,
    "phenotype": {"simulated": True, "causal_sites": 10, "heritability": 0.5, "seed": 1},
    "seconds": {"evaluation": 30.0},
    "versions": {"afml": "0.1.0"},
}  # fmt: skip


@pytest.fixture
def report() -> Report:
    return Report.model_validate(EXAMPLE)


@pytest.fixture
def page(report: Report, tmp_path: Path) -> Path:
    frontier = (
        FrontierPoint(name="AFML release", level="", rr=0.004, utility_ratio=1.07),
        FrontierPoint(name="random masking", level="keep 0.1", rr=0.0, utility_ratio=0.7),
        FrontierPoint(name="random masking", level="keep 1", rr=1.0, utility_ratio=1.0),
        FrontierPoint(name="<b>other</b>", level="", rr=0.02, utility_ratio=0.9),
    )
    path = tmp_path / "a folder" / "report.html"
    write_html(report, PageDetails("a codebook of <10> patterns", "major", frontier), path)
    return path


def keys(value: Any, prefix: str = "") -> set[str]:
    if isinstance(value, dict):
        return {prefix + k for k in value} | {x for k, v in value.items() for x in keys(v, f"{prefix}{k}.")}
    return set()


def test_report_json_holds_exactly_the_documented_keys(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(report, path)
    written = json.loads(path.read_text())
    assert written == EXAMPLE
    assert keys(written) == keys(EXAMPLE)
    assert read_json(path) == report
    document = (Path(__file__).parents[2] / "docs" / "REPORT.md").read_text()
    for key in keys(EXAMPLE) | {"baselines[].name", "baselines[].matched", "baselines[].rr"}:
        if not key.startswith(("seconds.", "versions.", "release.rr_by_attack.")):
            assert f"`{key}`" in document, key


@pytest.mark.parametrize(
    "change",
    [{"extra": 1},
     {"release": EXAMPLE["release"] | {"dp": True}}, {"release": EXAMPLE["release"] | {"rr": 1.2}},
     {"rr_reduction_vs_random": float("nan")}, {"data": EXAMPLE["data"] | {"kind": "real"}}],
)  # fmt: skip
def test_what_breaks_the_contract_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Report.model_validate(EXAMPLE | change)


def test_a_broken_report_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(EXAMPLE | {"privacy": {}}))
    with pytest.raises(InputError, match=r"report\.json: privacy\.epsilon"):
        read_json(path)


def test_the_page_needs_no_network_and_escapes_names(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"https?:|//[\w.]+/|<script|<link|<iframe|@import|url\((?!#)|src=", text)
    for reference in re.findall(r'(?:xlink:)?href="([^"]*)"', text):
        assert reference.startswith("#")
    assert "<svg" in text
    assert "&lt;10&gt;" in text
    assert "<b>other</b>" not in text


def test_the_page_keeps_the_two_promises_apart_and_says_simulated(page: Path) -> None:
    text = re.sub(r"\s+", " ", page.read_text())
    for phrase in (
        "Genotypes: simulated", "Phenotype: simulated", "are <b>not</b> differentially private",
        "bounds what the trained model", "The PLE says nothing about them", "pooled, demo only",
        "Do <b>not</b> use it for allele frequencies", "at least 20 people",
    ):  # fmt: skip
        assert phrase in text


def test_the_page_of_real_data_does_not_claim_simulation(report: Report, tmp_path: Path) -> None:
    data = report.data.model_copy(update={"kind": "vcf"})
    phenotype = report.phenotype.model_copy(update={"simulated": False})
    real = report.model_copy(update={"data": data, "phenotype": phenotype})
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(real, PageDetails("masks", "missing", (point,)), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "Genotypes: from VCF" in text
    assert "Genotypes: simulated" not in text
    assert "Phenotype: simulated" not in text


DETAILS: dict[str, Any] = {
    "phenotypes": [
        {
            "auc": 0.8, "raw_auc": 0.75, "best_raw_auc": 0.82, "utility_ratio": 1.07,
            "utility_ratio_chance_corrected": 1.2,
            "calibration": {"brier": 0.19, "brier_of_rate": 0.25, "slope": None},
            "raw_calibration": {"brier": 0.21, "brier_of_rate": 0.25, "slope": 0.62},
            "scan": {"threshold": 5e-5, "raw_hits": 59, "released_hits": 7, "shared_hits": 4, "false_hits": 3,
                     "effect_correlation": 0.9},
            "if_released": {"homogeneous_share": 0.06, "distinct_diversity": 1, "entropy_diversity": 1.0,
                            "smallest_class": 1, "group_guess": 0.74, "file_guess": 0.52},
        }
    ],
    "traits": [{"r2": 0.1, "raw_r2": 0.2, "r2_ratio": 0.5}],
    "frequencies": {"mean_error": 0.43, "within_one_percent": 0.0, "correlation": None, "panel_mean_error": 0.014,
                    "sites_without_calls": 2},
    "membership": {"auc": 0.519, "tpr_at_low_fpr": 0.012, "fpr": 0.01, "auc_by_attack": {"own pattern": 0.519},
                   "tpr_by_attack": {"own pattern": 0.012}, "members": 2000, "non_members": 500},
    "genotype": {
        "people": 400,
        "sites": [
            {"site": 4, "shown": 0.1, "panel_accuracy": 0.868, "release_accuracy": 0.888, "withheld_gain": 0.01,
             "bits": 0.1},
            {"site": 9, "shown": 0.0, "panel_accuracy": 0.99, "release_accuracy": 0.985, "withheld_gain": 0.0,
             "bits": 0.0},
        ],
    },
    "population": [
        {"factor": 1, "candidates": 2000, "chance": 0.0005, "rr": 0.005, "ci95": [0.002, 0.009],
         "by_attack": {"likelihood": 0.005}},
        {"factor": 10, "candidates": 20000, "chance": 0.00005, "rr": 0.0005, "ci95": [0.00002, 0.003],
         "by_attack": {"likelihood": 0.0005}},
    ],
}  # fmt: skip


def test_the_page_says_what_a_release_discloses_and_is_not_good_for(report: Report, tmp_path: Path) -> None:
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    details = PageDetails("masks", "major", (point,), Details.model_validate(DETAILS))
    write_html(report, details, tmp_path / "r.html")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "r.html").read_text()))
    for phrase in (
        "AUC 0.519", "+2.0 points", "at the worst of 2 sites", "6.0 %", "20 000", "use the panel instead",
        "4 of the raw hits found again, 3 hits", "2 sites show nobody", "quantitative 1",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert "None" not in text


def seen(report: Report, details: Details, tmp_path: Path) -> str:
    """Words of the page."""
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(report, PageDetails("codebook", "major", (point,), details), tmp_path / "r.html")
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", (tmp_path / "r.html").read_text(), flags=re.S))


def printed(report: Report, details: Details, *, terminal: bool = False) -> str:
    out = io.StringIO()
    print_report(report, "codebook", Console(file=out, width=140, force_terminal=terminal), details)
    return out.getvalue()


def with_release(**changes: Any) -> Report:
    return Report.model_validate(EXAMPLE | {"release": EXAMPLE["release"] | changes})


def mixed() -> Details:
    """Gout, and asthma which is served worse and whose groups share it more; two traits, one not comparable."""
    gout = DETAILS["phenotypes"][0] | {"name": "gout"}
    exposed = gout["if_released"] | {"homogeneous_share": 0.31}
    asthma = gout | {"name": "asthma", "utility_ratio": 0.91, "if_released": exposed}
    asthma["calibration"] = gout["calibration"] | {"brier": 0.177}
    traits = [
        {"name": "height", "r2": 0.1, "raw_r2": 0.2, "r2_ratio": 0.5},
        {"name": "luck", "r2": 0.03, "raw_r2": 0.001, "r2_ratio": None, "comparable": False},
    ]
    return Details.model_validate(DETAILS | {"phenotypes": [gout, asthma], "traits": traits})


def test_every_phenotype_is_named_on_page_and_terminal(tmp_path: Path) -> None:
    report = with_release(utility_phenotype="asthma")
    page = seen(report, mixed(), tmp_path)
    for phrase in (
        "Utility ratio, asthma", "The figures above are about asthma", "predicting gout, asthma, height, luck",
        "If asthma were released too (the worst of 2 phenotypes) 31.0 %", "(Brier): asthma 0.177",
        "Calibration slope: asthma", "luck, R² 0.030 0.001 not comparable", "height, R² 0.100 0.200 0.500",
        "Ratios of R² are not comparable with those of AUC",
    ):  # fmt: skip
        assert phrase in page, phrase
    lines = printed(report, mixed())
    assert re.search(r"utility is about: +asthma\n", lines)
    assert "phenotype, gout: utility ratio 1.070, AUC 0.800, raw 0.750\n" in lines
    assert "phenotype, luck: utility ratio not comparable, R² 0.030, raw 0.001\n" in lines
    assert "not comparable" in printed(report, mixed(), terminal=True)


def test_where_nothing_can_be_compared_it_says_so(tmp_path: Path) -> None:
    report = with_release(
        utility_measure="r2", utility_phenotype="luck", utility_comparable=False, utility_auc=0.03, raw_auc=0.0,
        utility_ratio=0.0,
    )  # fmt: skip
    details = Details.model_validate(DETAILS | {"phenotypes": [], "traits": [
        {"name": "luck", "r2": 0.03, "raw_r2": 0.0, "r2_ratio": None, "comparable": False}]})  # fmt: skip
    page = seen(report, details, tmp_path)
    assert "Nothing to compare: on held-out people raw genotypes themselves do not predict luck (R² 0.000)" in page
    for text in (page, printed(report, details)):
        assert "not comparable" in text
        assert "99.6 %" not in text
        assert "at matched utility" not in text


def test_reconstruction_is_not_said_to_be_compared_with_raw_genotypes(tmp_path: Path) -> None:
    report = with_release(utility_measure="reconstruction", utility_ratio_vs_best_raw=None, utility_ratio=5.97)
    write_json(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["release"]["utility_ratio_vs_best_raw"] is None
    details = Details.model_validate(DETAILS | {"phenotypes": [], "traits": [
        {"name": "reconstruction, 2 components", "r2": 0.06, "raw_r2": 0.01, "r2_ratio": 5.97}]})  # fmt: skip
    page, lines = seen(report, details, tmp_path), printed(report, details)
    for text in (page, lines):
        assert "as many raw principal components" in text
        for wrong in ("best raw model", "same pipeline on raw", "given phenotype", "Phenotype: as given", "risk model"):
            assert wrong not in text, wrong
    assert "A ratio of 1 is no upper bound" in page
    assert "Phenotype: none; made to keep principal components" in page
    assert "no phenotype" in lines


def test_the_page_in_a_browser(page: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium: the page is not opened in a browser")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    text = re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]+>", " ", dom, flags=re.S)
    text = re.sub(r"\s+", " ", text)
    for phrase in (
        "Release report",
        "0.40 %",
        "−99.6 %",
        "1.070",
        "0.90 σ",
        "random masking",
        "masker-aware",
    ):
        assert phrase in text


def test_plain_lines_where_there_is_no_terminal(report: Report) -> None:
    out = io.StringIO()
    print_report(report, "codebook", Console(file=out, width=40))
    text = out.getvalue()
    assert "re-identification rate:          0.40 % (95 %: 0.20 % to 0.80 %)\n" in text
    assert "baseline, random masking at matched utility: RR 100 %, utility ratio 1.000\n" in text
    assert "not by DP" in text
    assert not re.search(r"[─━│\x1b]", text)


def test_tables_on_a_terminal(report: Report) -> None:
    out = io.StringIO()
    print_report(report, "codebook", Console(file=out, force_terminal=True, width=120))
    assert "│" in out.getvalue()
    assert "masker-aware" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.9994, "99.94 %"), (0.5, "50.0 %"), (0.0034, "0.34 %"), (0.0005, "0.050 %")],
)
def test_percentages(value: float, text: str) -> None:
    assert percent(value) == text
    assert amount(12345) == "12\u2009345"
    assert [points(v) for v in (0.0204, -0.01, 0.0001)] == ["+2.0", "−1.0", "0.0"]


def test_a_drawn_panel_is_named_wherever_results_are_read(tmp_path: Path) -> None:
    drawn = EXAMPLE | {"data": EXAMPLE["data"] | {"panel": 0, "panel_drawn": 500}}
    report = Report.model_validate(drawn)
    write_json(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["data"] == drawn["data"]
    buffer = io.StringIO()
    print_report(report, "codebook", Console(file=buffer))
    assert "panel drawn from allele frequencies (500 people)" in buffer.getvalue()
    own = FrontierPoint(name="AFML release", level="", rr=0.004, utility_ratio=1.07)
    write_html(report, PageDetails("codebook", "major", (own,)), tmp_path / "report.html")
    page = " ".join((tmp_path / "report.html").read_text().split())
    assert "public panel of 0 people: 500 drawn from public allele frequencies, sites independent, in" in page
