"""Kits to look at, no proxy but a test's own, and commands that are forked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.trial.kits import make_kits
from tests.cli.zygote import Zygote
from tests.policies import allow_trials


@pytest.fixture(scope="session")
def afml() -> Zygote:
    return Zygote()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kits of two nodes and what belongs to them; nothing is changed there."""
    made = tmp_path_factory.mktemp("served") / "kits"
    make_kits(made, "test", 2)
    allow_trials(made)
    return made


@pytest.fixture
def kits(served: Path, tmp_path: Path) -> Path:
    """The same, to spoil something of."""
    return Path(shutil.copytree(served, tmp_path / "kits"))
