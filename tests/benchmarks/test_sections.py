"""Benchmarks keep up with the product: every module loads, and the training ones take their steps on few sites."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import benchmarks
from benchmarks import memory, training
from benchmarks.__main__ import merge, sections

MODULES = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_loads(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").__doc__


def test_the_sections_are_those_of_the_figures() -> None:
    assert sections() == [
        "audit", "bits", "codec", "console", "dossier", "evaluation", "federation", "fills", "genomes",
        "hybrid", "load", "memory", "module", "nested", "noise", "overlap", "patterns", "privacy", "probes",
        "stand_ins", "verified",
    ]  # fmt: skip


@pytest.mark.parametrize("variant", ["risk-plain", "risk-dp", "game-plain", "game-dp"])
def test_steps_with_and_without_privacy_are_taken(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SITES": 64, "PEOPLE": 12, "GAME_PEOPLE": 4, "REPEATS": 1}.items():
        monkeypatch.setattr(training, name, value)
    assert set(training._measure(variant)) == {"seconds", "mb", "step_mb"}


@pytest.mark.parametrize("kind", memory.KINDS)
def test_rounds_whose_memory_is_measured_are_played(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SITES": 64, "PEOPLE": 12, "PANEL": 20}.items():
        monkeypatch.setattr(memory, name, value)
    found = memory._measure(kind)
    assert found[f"{kind}_peak_gb"] > 0


def test_figures_of_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    merge(out, "codec", {"a": 1})
    merge(out, "memory", {"b": 2})
    merge(out, "codec", {"c": 3})
    assert json.loads(out.read_text()) == {"codec": {"a": 1, "c": 3}, "memory": {"b": 2}}
