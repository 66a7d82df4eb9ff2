"""The contract of report.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.evaluation.details import trait_rows
from afml.evaluation.report import Report, read_json, write_json
from tests.evaluation.example import DETAILS, EXAMPLE, mixed


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


def test_several_traits_and_the_memory_of_a_demo_are_keys_that_are_documented(report: Report, tmp_path: Path) -> None:
    rows = trait_rows(mixed())
    found = {row.name: row.utility_ratio_vs_best_raw if row.kind == "binary" else row.r2_ratio for row in rows}
    gout = DETAILS["phenotypes"][0]
    assert found == {
        "gout": pytest.approx(gout["auc"] / gout["best_raw_auc"]), "asthma": pytest.approx(found["gout"]),
        "height": 0.5, "luck": None,
    }  # fmt: skip
    assert trait_rows(mixed().model_copy(update={"phenotypes": mixed().phenotypes[:1], "traits": ()})) == ()
    whole = report.model_copy(update={"traits": rows, "peak_gb": 1.5, "peak_gb_by_process": {"node-1": 0.5}})
    write_json(whole, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert set(written) - set(EXAMPLE) == {"traits", "peak_gb", "peak_gb_by_process"}
    assert written["traits"][2:] == [
        {"name": "height", "kind": "quantitative", "r2_ratio": 0.5}, {"name": "luck", "kind": "quantitative"},
    ]  # fmt: skip
    free = [one.model_copy(update={"free_codebook_auc": one.best_raw_auc}) for one in mixed().phenotypes]
    numbers = [one.model_copy(update={"free_codebook_r2": one.raw_r2 / 2}) for one in mixed().traits]
    held = trait_rows(mixed().model_copy(update={"phenotypes": tuple(free), "traits": tuple(numbers)}))
    assert [row.free_codebook_ratio for row in held] == [1.0, 1.0, 0.5, None]  # luck cannot be compared
    written["traits"] += [row.model_dump() for row in held]
    document = (Path(__file__).parents[2] / "docs" / "REPORT.md").read_text()
    for key in ("peak_gb", "peak_gb_by_process", *(f"traits[].{key}" for row in written["traits"] for key in row)):
        assert f"`{key}`" in document, key


def test_a_broken_report_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(EXAMPLE | {"privacy": {}}))
    with pytest.raises(InputError, match=r"report\.json: privacy\.epsilon"):
        read_json(path)
