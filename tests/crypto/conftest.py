"""Kits of a small consortium, to spoil and to add to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.trial.kits import make_kits
from tests.crypto.keyfiles import answers


@pytest.fixture(scope="module")
def key_root_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kits as `make_kits` makes them, and the answers that were installed."""
    root = tmp_path_factory.mktemp("consortium")
    make_kits(root / "kits", "test", 2)
    answers(root, "test", "answers")
    return root


@pytest.fixture
def root(key_root_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(key_root_made, tmp_path / "root"))
