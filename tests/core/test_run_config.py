"""Run configurations refuse what would void the guarantee, and name the key that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from afml.core.errors import InputError
from afml.core.run import Budget, RunConfig


def settings(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "run": "r1", "consortium": "c", "site_panel": "00", "sites": 8, "enrolled": dict.fromkeys(range(1, 6), 10),
        "quorum": 5, "budget": {"delta": 1e-5, "ple_sigma": 1.0},
        "phases": [
            {"name": "risk", "rounds": 3, "sample_rate": 1.0, "clip_norm": 1.0, "noise_multiplier": 4.0,
             "learning_rate": 1.0},
            {"name": "game", "rounds": 2, "sample_rate": 0.5, "clip_norm": 1.0, "noise_multiplier": 4.0,
             "learning_rate": 1.0},
        ],
    }
    return base | changes


def test_rounds_belong_to_their_phase() -> None:
    config = RunConfig.model_validate(settings())
    assert [config.phase_of(r)[1].name for r in range(1, 6)] == ["risk", "risk", "risk", "game", "game"]
    with pytest.raises(IndexError):
        config.phase_of(6)


def test_distributed_noise_needs_a_quorum() -> None:
    with pytest.raises(ValidationError, match="max_colluding"):
        RunConfig.model_validate(settings(quorum=2))
    assert RunConfig.model_validate(settings(quorum=2, noise="local")).quorum == 2
    with pytest.raises(ValidationError, match="above the 5 enrolled"):
        RunConfig.model_validate(settings(quorum=6))


def test_a_budget_is_one_number() -> None:
    for wrong in ({}, {"epsilon": 1.0, "ple_sigma": 1.0}):
        with pytest.raises(ValidationError, match="exactly one"):
            Budget(delta=1e-5, **wrong)


def test_digest_does_not_depend_on_key_order() -> None:
    data = settings()
    assert RunConfig.model_validate(data).digest() == RunConfig.model_validate(dict(reversed(data.items()))).digest()
    assert RunConfig.model_validate(settings(run="r2")).digest() != RunConfig.model_validate(data).digest()


def test_a_bad_file_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('run = "r"\nquorums = 3\n')
    with pytest.raises(InputError, match=r"run\.toml: .*(quorums|consortium)"):
        RunConfig.load(path)
