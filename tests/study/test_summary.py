from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from afml.evaluation.report import FrontierPoint
from afml.study import regression
from afml.study.figures import write_figures
from afml.study.record import RunRecord
from afml.study.summary import FIGURES, bars, group_of, margin, summarise, write_summary
from afml.study.tables import write_tables

# A handful of runs makes fewer clusters than terms; the study has thirty.
pytestmark = pytest.mark.filterwarnings("ignore:covariance of constraints")


def variant(record: RunRecord, **changes: object) -> RunRecord:
    """The record with other settings, as if it had 1,024 sites."""
    data = record.settings.data.model_copy(update={"sites": 1024})
    settings = record.settings.model_copy(update={"data": data} | changes)
    return record.model_copy(update={"settings": settings, "name": settings.name})


@pytest.fixture(scope="module")
def records(record: RunRecord) -> list[RunRecord]:
    made = []
    for seed in (1001, 1002, 1003):
        for causal in (5, 20):
            for ple in (0.9, 0.5):
                one = variant(record, phenotype_seed=seed, causal=causal, ple=ple)
                made.append(
                    one.model_copy(
                        update={
                            "utility_ratio": one.utility_ratio + seed / 1e4,
                            "operating_points": tuple(
                                p.model_copy(update={"utility_ratio": p.utility_ratio + seed / 1e5 + k / 100})
                                for k, p in enumerate(one.operating_points)
                            ),
                        }
                    )
                )
    return made


def test_summary_is_nested_by_noise_ple_sites_causal(records: list[RunRecord]) -> None:
    summary = summarise([*records, variant(records[0], variant="lineup-4")])
    assert set(summary) == {"distributed"}
    assert list(summary["distributed"]) == ["0.9", "0.5"]
    assert list(summary["distributed"]["0.9"]) == ["1024"]
    assert list(summary["distributed"]["0.9"]["1024"]) == ["5", "20"]
    cell = summary["distributed"]["0.9"]["1024"]["5"]
    assert cell["runs"] == 3
    for way in ("median", "min", "max"):
        assert set(cell[way]) == set(FIGURES)
    values = [r.utility_ratio for r in records if group_of(r) == ("distributed", "0.9", "1024", "5")]
    assert cell["median"]["utility_ratio"] == float(np.median(values))
    assert cell["max"]["utility_ratio"] == max(values)


def test_margin_takes_levels_of_no_higher_rr(record: RunRecord) -> None:
    def point(rr: float, ratio: float) -> FrontierPoint:
        return FrontierPoint(name="m", level="", rr=rr, utility_ratio=ratio)

    frontier = (point(record.rr, 0.7), point(record.rr / 2, 0.6), point(0.9, 2.0))
    with_levels = record.model_copy(update={"frontier": frontier})
    assert margin(with_levels, "m") == pytest.approx(record.utility_ratio - 0.7)
    nothing = 0.5 / record.release.raw_auc
    assert margin(with_levels, "none") == pytest.approx(record.utility_ratio - nothing)


def test_bars_say_what_is_missed(records: list[RunRecord]) -> None:
    found = bars(records)
    assert {bar.group for bar in found} == {group_of(r) for r in records}
    by_name = {(bar.what, bar.group): bar for bar in found}
    group = ("distributed", "0.9", "1024", "5")
    assert by_name["utility ratio", group].met == (by_name["utility ratio", group].value >= 1.03)
    slow = [r.model_copy(update={"seconds": 400.0}) for r in records]
    assert not any(bar.met for bar in bars(slow) if bar.what.startswith("seconds"))
    local = [variant(r, noise="local") for r in records if r.settings.ple == 0.9]
    local = [r.model_copy(update={"rr_reduction": 0.5}) for r in local]
    assert {bar.value for bar in bars(local)} == {0.0}


def test_two_phenotypes_are_held_against_their_own_bars(records: list[RunRecord]) -> None:
    both = [
        variant(r, phenotypes=2).model_copy(update={"phenotypes": r.phenotypes * 2})
        for r in records
        if r.settings.ple == 0.9
    ]  # fmt: skip
    assert summarise(both) == {}
    assert [bar.target for bar in bars(both)] == [1.0, 1.0, 0.012, 0.92, 0.92, 0.012]


def test_regression_recovers_known_coefficients(records: list[RunRecord]) -> None:
    """Utility ratio set to an exact linear function of the configuration."""
    made = []
    for record in records:
        one = record.settings
        points = tuple(
            p.model_copy(
                update={"utility_ratio": 0.5 + 0.1 * np.log2(p.patterns) - 0.2 * (p.method == "network") + one.ple}
            )
            for p in record.operating_points
        )
        made.append(record.model_copy(update={"operating_points": points}))
    told = regression.describe(made)
    assert told is not None
    terms = told["utility ratio"]["terms"]
    assert terms["log2 patterns"]["coefficient"] == pytest.approx(0.1, abs=1e-6)
    assert terms["PLE, sigma"]["coefficient"] == pytest.approx(1.0, abs=1e-6)
    assert "noise local" not in terms
    assert "OLS Regression Results" in regression.table(made)


def test_everything_is_written(records: list[RunRecord], tmp_path: Path) -> None:
    changed = [variant(records[0], variant=name) for name in ("network", "lineup-4")]
    everything = [*records, *changed, variant(records[0], noise="local")]
    write_summary(tmp_path / "reproduce.json", everything, missing=["x"], regression=None)
    whole = json.loads((tmp_path / "reproduce.json").read_text())
    assert len(whole["runs"]) == len(everything)
    assert whole["missing"] == ["x"]
    assert whole["summary"]["distributed"]["0.9"]["1024"]["20"]["median"]["rr"] >= 0
    write_tables(tmp_path / "tables.md", everything, missing=["x"], stale=["y"], title="T")
    text = (tmp_path / "tables.md").read_text()
    for part in ("# T", "## Bars", "## Groups", "lineup-4", "**Partial**", "see README.md: y.", "OLS Regression"):
        assert part in text
    write_tables(tmp_path / "tables.md", records, missing=[], stale=[r.name for r in records], title="T")
    assert "another version of the source, see README.md: all 12 runs." in (tmp_path / "tables.md").read_text()
    written = write_figures(tmp_path / "figures", everything)
    assert {path.stem for path in written} == {
        "frontier", "frontier-ple-0.5", "candidates", "utility-by-ple", "ablations"
    }  # fmt: skip
    assert write_figures(tmp_path / "none", []) == []
