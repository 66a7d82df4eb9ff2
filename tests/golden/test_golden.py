"""Seeded runs end with the bits that they had before.

`golden.json` holds digests that earlier code made, and says which; `make golden` holds whole demos against it. Floating
point depends on the machine: on another kind of machine than the one that made them the digests are not comparable,
and the test is skipped, visibly.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.masking.kind import train_masking
from afml.masking.settings import ReleaseSettings
from afml.release.planning import plan_release
from afml.release.released import apply_plan
from tests.golden.machine import machine
from tests.masking.simulated import config, dosages, enrolled, sites_panel

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
SITES, PEOPLE = 40, 30


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def test_a_seeded_run_ends_with_the_same_model_and_the_same_files() -> None:
    if machine() != GOLDEN["machine"]:
        pytest.skip(f"digests were made on another kind of machine: {GOLDEN['machine']}, this is {machine()}")
    panel = dosages(80, SITES, seed=50)
    model = train_masking(config(SITES, PEOPLE, seed=7), sites_panel(SITES), panel, enrolled(SITES, PEOPLE))
    # The method that `auto` took then; by now it may take fewer patterns, or another one.
    settings = ReleaseSettings(method="codebook", min_group_size=5, fill="major")
    plan = plan_release(model, panel, settings, people_per_file=PEOPLE)
    files = {str(index): apply_plan(plan, dosages(PEOPLE, SITES, seed=index + 1)).dosage for index in range(3)}
    found = {
        "model": _digest({name: getattr(model, name) for name in ("mean", "scale", "annotations", "weights", "game")}),
        "release": _digest(files),
        "method": plan.method,
    }
    assert found == GOLDEN["small"]
