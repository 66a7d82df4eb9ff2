"""report.html: one file that needs no network and keeps two promises apart."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from afml.evaluation.attacks import ATTACKS, KNOWING
from afml.evaluation.baselines import BINNED, GROUPED_RANDOM, GROUPED_STATIC, RANDOM, RESPONSE, STATIC
from afml.evaluation.details import Details
from afml.evaluation.page import PageDetails, amount, better, percent, points, write_html
from afml.evaluation.palette import OWN, known, names, style_of
from afml.evaluation.ran import AboutSection
from afml.evaluation.report import BaselineRow, FrontierPoint, Report
from afml.evaluation.terminal import summary
from tests.evaluation.example import DETAILS, with_release


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


def test_the_page_says_what_a_release_discloses_and_is_not_good_for(report: Report, tmp_path: Path) -> None:
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    details = PageDetails("masks", "major", (point,), Details.model_validate(DETAILS))
    write_html(report, details, tmp_path / "r.html")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "r.html").read_text()))
    for phrase in (
        "AUC 0.519", "+2.0 points", "at the worst of 2 sites", "6.0 %", "20 000", "use the panel instead",
        "4 of the raw hits found again, 3 hits", "2 sites show nobody", "quantitative 1", "95 %: 0.500 to 0.540",
        "3.0 % 1.8 % to 4.5 %", "– not asked",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert "None" not in text


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.9994, "99.94 %"), (0.5, "50.0 %"), (0.0034, "0.34 %"), (0.0005, "0.050 %")],
)
def test_percentages(value: float, text: str) -> None:
    assert percent(value) == text
    assert amount(12345) == "12\u2009345"
    assert [points(v) for v in (0.0204, -0.01, 0.0001)] == ["+2.0", "−1.0", "0.0"]


def test_every_attack_is_explained_and_an_unknown_one_is_listed(tmp_path: Path) -> None:
    report = with_release(rr_by_attack=dict.fromkeys((*ATTACKS.names(), "somebody's own"), 0.01))
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(report, PageDetails("masks", "major", (point,)), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    for name in ATTACKS.names():
        assert f"<td>{name}</td><td>{ATTACKS.get(name).guess}</td>" in text
    assert "<td>somebody&#39;s own</td><td></td>" in text


def test_every_headline_has_its_interval_and_the_page_says_where_it_comes_from(report: Report, tmp_path: Path) -> None:
    about = AboutSection(
        consortium="north", run="first", made="2026-01-02", command="afml evaluate --out report",
        configuration="c" * 64, model="d" * 64,
    )  # fmt: skip
    release = report.release.model_copy(update={"utility_ratio_ci95": (0.912, 1.034)})
    told = report.model_copy(update={"about": about, "release": release})
    point = FrontierPoint(name="AFML release", level="", rr=release.rr, utility_ratio=release.utility_ratio)
    write_html(told, PageDetails("codebook", "missing", (point,)), tmp_path / "r.html")
    text = re.sub(r"\s+", " ", (tmp_path / "r.html").read_text())
    for phrase in (
        "95 %: 0.912 to 1.034 over other held-out people", "Run <b>first</b> of consortium <b>north</b>, 2026-01-02",
        "run first, north, 2026-01-02</title>", "c" * 16, "d" * 16, "Made by <code>afml evaluate --out report</code>",
    ):  # fmt: skip
        assert phrase in text
    assert "c" * 17 not in text
    assert Report.model_validate_json(told.model_dump_json()) == told


def test_a_baseline_that_does_better_is_named(report: Report, tmp_path: Path) -> None:
    release = report.release.model_copy(update={"rr": 0.01, "utility_ratio": 0.9, "utility_comparable": True})
    rows = (
        BaselineRow(name="random masking", matched="utility", rr=1.0, utility_ratio=0.95),
        BaselineRow(name="binned risk score", matched="utility", rr=0.009, utility_ratio=0.9),
        BaselineRow(name="static top sites", matched="utility", rr=0.009, utility_ratio=0.89),
    )
    told = report.model_copy(update={"release": release, "baselines": rows})
    assert [row.name for row in better(told)] == ["binned risk score"]
    point = FrontierPoint(name="AFML release", level="", rr=0.01, utility_ratio=0.9)
    write_html(told, PageDetails("codebook", "missing", (point,)), tmp_path / "r.html")
    text = re.sub(r"\s+", " ", (tmp_path / "r.html").read_text())
    assert "<b>binned risk score</b> does better here than this release" in text
    assert "A binned score is no VCF" in text


def test_the_plot_has_its_points_as_a_table_and_a_form_for_phones(page: Path) -> None:
    text = page.read_text()
    assert len(re.findall(r"<svg", text)) == 2
    identifiers = re.findall(r'id="(\w+)"', text)
    drawn = [one for one in identifiers if re.fullmatch(r"[mp][0-9a-f]{10}", one)]
    assert len(drawn) == len(set(drawn))
    table = re.search(r"<summary>The plot as a table</summary>(.*?)</details>", text, re.S)
    assert table is not None
    for cell in ("keep 0.1", "0.700", "&lt;b&gt;other&lt;/b&gt;", "2.0 %"):
        assert cell in table[1]


def test_a_method_looks_the_same_in_every_chart_and_unlike_any_other_in_grey() -> None:
    for chart in (
        (RANDOM, STATIC, BINNED, RESPONSE, GROUPED_RANDOM, GROUPED_STATIC),
        ("greedy codebook", "codebook", "network codebook", "network masks, ungrouped", "static codebook"),
    ):  # fmt: skip
        looks = [(style_of(name).marker, style_of(name).line) for name in chart]
        assert len(looks) == len(set(looks))
        assert all(known(name) for name in chart)
    colours = {name: style_of(name).colour for name in names()}
    one = [colour for name, colour in colours.items() if name not in ("codebook", "binned first component")]
    assert len(one) == len(set(one))
    assert OWN.colour not in one


def test_what_it_costs_to_tell_traits_stands_on_page_and_terminal(tmp_path: Path) -> None:
    cost = {
        "rr": 0.04, "rr_ci95": (0.03, 0.06), "chance": 0.02, "combinations": 6, "groups": 30, "rr_by_genotypes": 0.01,
    }  # fmt: skip
    report = with_release(known_traits=cost, rr=0.04, rr_by_attack={"known traits": 0.04, "likelihood": 0.01})
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)

    def written(one: Report) -> str:
        write_html(one, PageDetails("masks", "major", (point,)), tmp_path / "r.html")
        return (tmp_path / "r.html").read_text()

    text = re.sub(r"\s+", " ", written(report))
    assert f"<td>known traits</td><td>{KNOWING.get('known traits').guess}</td>" in text
    assert "names 4.0 % of the records" in text
    assert "(95 %: 3.0 % to 6.0 %), 2.0 % by guessing among those with the same traits" in text
    assert "groups of equal records with equal traits / people" in text
    assert (
        "  if released traits are known",
        "4.0 % (95 %: 3.0 % to 6.0 %), chance 2.0 %; by genotypes alone 1.0 %",
    ) in (summary(report, "codebook"))
    assert "traits known" not in written(with_release())
