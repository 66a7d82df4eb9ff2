from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.dossier.build import make
from tests.dossier.pack import PHASES, Built, Hands


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(tmp_path_factory.mktemp("dossier"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The same with full batches alone, which are accounted in no time."""
    return Built(tmp_path_factory.mktemp("plain"), phases=PHASES[:1])


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dossier of institutions that looked for people at two of them before the run."""
    made = Built(tmp_path_factory.mktemp("asked"), phases=PHASES[:1], asked=True)
    assert all(found.ok for found in make(made.sources, made.root / "dossier", made.signer))
    return made.root / "dossier"


@pytest.fixture(scope="session")
def good(built: Built) -> Path:
    """A dossier in which nothing is wrong."""
    folder = built.root / "dossier"
    assert all(found.ok for found in make(built.sources, folder, built.signer))
    return folder


@pytest.fixture
def hands(good: Path, built: Built, tmp_path: Path) -> Hands:
    shutil.copytree(good, tmp_path / "dossier")
    return Hands(tmp_path / "dossier", built)
