"""What `make wheel`, `make install` and `make clean` make and leave, from folders whose paths hold spaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("afml", "node", "aggregator", "crypto")


def built(out: Path, umask: int = 0o022) -> Path:
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([sys.executable, ROOT / "tools" / "wheel.py", out], check=True, umask=umask, env=environment)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("a wheel"))


def test_two_builds_are_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert built(tmp_path, umask=0o077).read_bytes() == wheel.read_bytes()


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert held == sources


def test_what_it_installs_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    place, empty = tmp_path / "an environment", tmp_path / "an empty folder"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # Nothing is downloaded: what AFML stands on is taken from the present environment, AFML itself is not.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    within = subprocess.run(
        [place / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    (Path(within) / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "-q", "--no-index"]
    subprocess.run(
        [*install, "--no-deps", "--disable-pip-version-check", "--force-reinstall", wheel], check=True, env=environment
    )

    def run(*words: str) -> str:
        command = [place / "bin" / "afml", *words]
        return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True).stdout

    assert run("--version").startswith("afml, version ")
    assert "A whole consortium on this machine" in run("--help")
    noise = ("--noise-multiplier", "1.5", "--sample-rate", "0.1", "--rounds", "100", "--delta", "1e-5")
    assert "sigma" in run("privacy", *noise)
    assert run("keys", "init", "--out", "kit", "--name", "A").startswith("keys of node A in kit\n")
    where = "import afml, node, aggregator, crypto\nfor one in (afml, node, aggregator, crypto): print(one.__file__)"
    found = subprocess.run(
        [place / "bin" / "python", "-c", where], cwd=empty, env=environment, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(within) for path in found.stdout.splitlines())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that make believes to be set up."""
    place = tmp_path / "a checkout"
    (place / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / name, place / name)
    (place / ".venv" / "bin" / "afml").write_text("#!/bin/sh\n")
    (place / ".venv" / ".ready").touch()
    return place


def make(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", *words], cwd=place, capture_output=True, text=True, check=False)


def test_install_puts_it_on_the_path_and_overwrites_nothing_of_others(checkout: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "home of mine"
    done = make(checkout, "install", f"PREFIX={prefix}")
    assert done.returncode == 0, done.stderr
    assert (prefix / "bin" / "afml").resolve() == (checkout / ".venv" / "bin" / "afml").resolve()
    assert "not on your path" in done.stdout
    assert make(checkout, "install", f"PREFIX={prefix}").returncode == 0
    (prefix / "bin" / "afml").unlink()
    (prefix / "bin" / "afml").write_text("somebody's own")
    done = make(checkout, "install", f"PREFIX={prefix}")
    assert done.returncode != 0
    assert "remove it, or give PREFIX=FOLDER" in done.stdout
    assert (prefix / "bin" / "afml").read_text() == "somebody's own"


def test_clean_never_deletes_a_ledger(checkout: Path) -> None:
    for kept in ("runs/demo/node-1/ledger", "build/a golden one/node-1/ledger", "build/quick"):
        (checkout / kept).mkdir(parents=True)
        (checkout / kept / "file").touch()
    done = make(checkout, "clean")
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(checkout).as_posix() for path in checkout.rglob("file")}
    assert left == {"runs/demo/node-1/ledger/file", "build/a golden one/node-1/ledger/file"}
    assert not (checkout / ".venv").exists()
    assert "kept runs/" in done.stdout
