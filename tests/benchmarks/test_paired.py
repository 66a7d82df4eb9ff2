"""Two checkouts in turns: the order, the interval, and the scripts that run inside a checkout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import paired
from benchmarks.within import codec, step


def test_the_checkouts_take_turns_in_going_first(monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[str] = []

    def inside(checkout: Path, script: str) -> str:
        went.append(checkout.name)
        return json.dumps({Path(script).stem: 1.0 if checkout.name == "old" else 2.0})

    monkeypatch.setattr(paired, "inside", inside)
    found = paired.measured(Path("old"), Path("new"), 3)
    each = len(paired.SCRIPTS)
    assert went == ["old", "new"] * each + ["new", "old"] * each + ["old", "new"] * each
    assert found == {script: [(1.0, 2.0)] * 3 for script in paired.SCRIPTS}


def test_a_drift_that_both_share_leaves_the_ratio_alone() -> None:
    found = paired.Comparison.of([(drift, 1.25 * drift) for drift in (1.0, 2.0, 5.0, 3.0)])
    assert (found.pairs, found.ratio, found.low, found.high) == (4, 1.25, 1.25, 1.25)


def test_the_interval_holds_the_median_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(4)
    pairs = [(1.0, float(ratio)) for ratio in np.exp(rng.normal(0.1, 0.05, 20))]
    found = paired.Comparison.of(pairs)
    assert found == paired.Comparison.of(pairs)
    assert found.low < found.ratio < found.high
    assert found.ratio == pytest.approx(np.median([new for _, new in pairs]), abs=1e-3)


def test_a_folder_without_the_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not a checkout of AFML"):
        paired.require_checkout(tmp_path)


def test_the_step_script_knows_this_checkout() -> None:
    steps = step.steps_of_tasks()
    assert set(steps) == set(step.REPEATS)
    for one in steps.values():
        one()


def test_the_codec_script_knows_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MILLION", 20_000)
    monkeypatch.setattr(codec, "REPEATS", 1)
    assert codec.codec_cpu_s() > 0
