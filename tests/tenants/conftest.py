"""The tenant package as its author would install it, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from afml.consortium.run import RunConfig
from tests.tenants.hospitals import NODES, Hospitals

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed tenant and nothing else; put it on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("tenant")
    source = tmp_path_factory.mktemp("source") / "mlp"
    subprocess.run(["cp", "-r", str(HERE / "mlp"), str(source)], check=True)  # building leaves files beside a source
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
        "--no-build-isolation", "--target", str(folder), str(source),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory, site_packages: Path) -> Hospitals:
    made = Hospitals(tmp_path_factory.mktemp("hospitals"), site_packages)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def trained(hospitals: Hospitals) -> RunConfig:
    done = hospitals.configure("first", "--seed", 5)
    assert done.returncode == 0, done.stderr
    ended = hospitals.train("first")
    assert [code for code, _ in ended] == [0] * (NODES + 1), "\n".join(text for _, text in ended)
    return RunConfig.load(hospitals.root / "first.json")


@pytest.fixture
def tenant(site_packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site_packages))
