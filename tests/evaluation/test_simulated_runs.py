"""A report about a simulation says so first, and states no privacy loss."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from afml.core.progress import PlainConsole
from afml.core.simulation import SIMULATION
from afml.evaluation.page import PageDetails, write_html
from afml.evaluation.ran import PrivacySection
from afml.evaluation.report import FrontierPoint, Report, read_json, write_json
from afml.evaluation.terminal import print_report
from tests.evaluation.example import EXAMPLE

FIGURES = ("epsilon", "ple_sigma", "ple_at_delta", "epsilon_if_aggregation_broken")
PRIVACY = EXAMPLE["privacy"] | dict.fromkeys((*FIGURES, "ple_sigma_fixed_plan")) | {"insecure": True}


@pytest.fixture
def simulated() -> Report:
    return Report.model_validate(EXAMPLE | {"privacy": PRIVACY})


def test_json(simulated: Report, tmp_path: Path) -> None:
    write_json(simulated, tmp_path / "report.json")
    privacy = json.loads((tmp_path / "report.json").read_text())["privacy"]
    assert privacy["insecure"] is True
    assert [privacy[name] for name in FIGURES] == [None] * 4
    assert read_json(tmp_path / "report.json") == simulated


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_and_a_simulation_exclude_each_other(name: str) -> None:
    for wrong in (PRIVACY | {name: 0.433}, PRIVACY | {"ple_sigma_fixed_plan": 0.4}, EXAMPLE["privacy"] | {name: None}):
        with pytest.raises(ValidationError, match="a simulation states no figure"):
            PrivacySection.model_validate(wrong)


def test_the_value_of_a_fixed_plan_stands_beside_the_filters(tmp_path: Path) -> None:
    report = Report.model_validate(EXAMPLE)
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(report, PageDetails("codebook", "major", (point,)), tmp_path / "report.html")
    assert "0.84 σ if all runs had been fixed in advance" in (tmp_path / "report.html").read_text()
    out = io.StringIO()
    print_report(report, "codebook", PlainConsole(file=out, width=250))
    assert "0.900 sigma (epsilon 3.87, delta 1e-05, distributed noise); 0.840 if all" in out.getvalue()


def test_page_and_terminal(simulated: Report, tmp_path: Path) -> None:
    point = FrontierPoint(name="AFML release", level="", rr=0.0, utility_ratio=1.0)
    write_html(simulated, PageDetails("codebook", "major", (point,)), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.index(SIMULATION) < page.index("Re-identification rate")
    assert page.count(SIMULATION) == 3
    assert "<b>∞</b>" in page
    assert "ε =" not in page
    for terminal in (True, False):
        out = io.StringIO()
        print_report(simulated, "codebook", PlainConsole(file=out, force_terminal=terminal, width=250))
        assert out.getvalue().count(SIMULATION) == 2
        assert "infinite" in out.getvalue()
