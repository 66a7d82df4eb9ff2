"""A consortium that is founded once, and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.trial.kits import make_kits
from tests.consortium.place import Place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("membership")
    make_kits(root / "kits", "north", ["Uppsala", "Oslo", "Turku"])
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copytree(made, tmp_path / "consortium")))
