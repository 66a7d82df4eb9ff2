"""What page and terminal say of a release, and never say."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from rich.console import Console

from afml.evaluation.details import Details
from afml.evaluation.page import PageDetails, write_html
from afml.evaluation.report import FrontierPoint, Report, write_json
from afml.evaluation.terminal import print_report
from tests.evaluation.example import DETAILS, EXAMPLE, mixed, with_release


def seen(report: Report, details: Details, tmp_path: Path) -> str:
    """Words of the page."""
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(report, PageDetails("codebook", "major", (point,), details), tmp_path / "r.html")
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]+>", " ", (tmp_path / "r.html").read_text(), flags=re.S))


def printed(report: Report, details: Details, *, terminal: bool = False) -> str:
    out = io.StringIO()
    print_report(report, "codebook", Console(file=out, width=140, force_terminal=terminal), details)
    return out.getvalue()


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


def test_a_codebook_without_genotypes_stands_beside_every_ratio(tmp_path: Path) -> None:
    report, gout = with_release(utility_phenotype="asthma"), mixed().phenotypes[0]
    details = mixed().model_copy(
        update={"phenotypes": (gout.model_copy(update={"free_codebook_auc": 0.825}), mixed().phenotypes[1])}
    )
    page = seen(report, details, tmp_path)
    assert "Ratio Without genotypes gout, AUC 0.800 0.750 1.070 1.100" in page
    assert "Without genotypes" not in seen(report, mixed(), tmp_path)
    assert "gout: utility ratio 1.070; a codebook without genotypes 1.100, AUC" in printed(report, details)


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


def test_harder_questions_are_answered_on_the_page(report: Report, tmp_path: Path) -> None:
    page = seen(report, Details.model_validate(DETAILS), tmp_path)
    for phrase in (
        "child or parent (degree 1) 0.250 likelihood 0.30 % 0.10 % to 0.60 % 0.050 %",
        "AFR is recognised 2.4 times as often as the mean , more than the 2 times allowed for",
        "AFR 600 1.2 % 0.50 % to 2.0 % 3.0 % 1.8 % to 4.5 % 0.530 0.500 to 0.560",
        "EUR 1 400 0.10 % 0 % to 0.40 % – not asked – too few panel people",
        "a second release of the same people (greedy codebook)", "tells 78 pairs of patterns apart",
        "the rarest shared by 1 person of a file", "recognises 3.1 %", "+0.5 points 61.3 % of the genotypes",
    ):  # fmt: skip
        assert phrase in page, phrase
    even = DETAILS["harder"] | {"again": None}
    even["groups"] = DETAILS["harder"]["groups"] | {"ratio": 1.3, "inferred": True}
    page = seen(report, Details.model_validate(DETAILS | {"harder": even}), tmp_path)
    assert "1.3 times the mean: at most 2 times was allowed for" in page
    assert "Groups are clusters of genotypes" in page
    assert "Were the same people released once more" not in page
    older = {key: value for key, value in DETAILS.items() if key != "harder"}
    assert "Whom the mean hides" not in seen(report, Details.model_validate(older), tmp_path)
