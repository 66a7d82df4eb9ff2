"""`afml task check statistics` finds nothing wrong: clip, plan and one encrypted round on made-up people."""

from __future__ import annotations

import json
from pathlib import Path

from tests.processes import afml

COLUMNS = [{"name": "age", "low": 0.0, "high": 100.0}, {"name": "ill", "kind": "binary"}]


def test_nothing_is_wrong_with_the_task(tmp_path: Path) -> None:
    schema = {"person": "patient", "targets": ["ill"], "columns": COLUMNS}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "figures.json").write_text(json.dumps({"columns": COLUMNS, "cross": [["age", "ill"]]}))
    options = ("--settings", tmp_path / "figures.json", "--schema", tmp_path / "schema.json")
    done = afml("task", "check", "statistics", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one encrypted round moved the model to the bits of plain sums" in done.stdout
