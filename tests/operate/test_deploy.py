"""Units, image and Compose file: linted here; nobody has run them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from afml.training.registry import names
from node.serving.declared import Serve
from tests.cli.test_cures import problem

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE = {"afml-aggregator@.service": 20, "afml-node@.service": 36, "afml-serve.service": 36}
"""Ten times the most that `systemd-analyze security` may find."""


def _settings(unit: Path) -> dict[str, str]:
    """Of the environment file beside a unit."""
    name = re.search(r"EnvironmentFile=/etc/afml/(.*)", unit.read_text())[1]  # type: ignore[index]
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _command(unit: Path) -> str:
    return re.search(r"^ExecStart=.*/(afml .*)$", unit.read_text(), re.M)[1]  # type: ignore[index]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_of_ours(unit: Path) -> None:
    settings = _settings(unit)
    command = re.sub(r"\$\{(\w+)\}", lambda found: settings[found[1]], _command(unit)).replace("%i", "RUN")
    assert problem(command) == ""
    assert set(re.findall(r"\$\{(\w+)\}", _command(unit))) == set(settings)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    there = tmp_path / unit.name
    there.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", unit.read_text(), flags=re.M))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[unit.name]}", "--no-pager", there],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def test_the_example_of_a_daemon_is_one() -> None:
    said = Serve.load(DEPLOY / "systemd" / "serve.toml")
    assert said.ledger is not None
    assert {task for one in said.work.values() for task in one.tasks} <= set(names())


def test_a_stop_reaches_a_daemons_runs_once() -> None:
    assert "KillMode=mixed\n" in (DEPLOY / "systemd" / "afml-serve.service").read_text()


def _services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.parametrize("name", ["aggregator", "node"])
def test_a_service_can_change_nothing_but_its_state(name: str) -> None:
    service = _services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"
    assert "privileged" not in service
    assert [volume["target"] for volume in service["volumes"]] == ["/data"]
    assert problem(" ".join(["afml", *service["command"]])) == ""


def test_the_image_is_of_nobody_special() -> None:
    lines = (DEPLOY / "container" / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert [what for instruction, what in said if instruction == "USER"] == ["10001:10001"]
    assert said[-2:] == [["ENTRYPOINT", '["afml"]'], ["CMD", '["--help"]']]
    assert all("--require-hashes" in what for _, what in said if "requirements.lock" in what and "pip" in what)
    copied = [word for instruction, what in said if instruction == "COPY" for word in what.split()[:-1]]
    assert all((DEPLOY.parent / path).exists() for path in copied if not path.startswith(("--", "/")))
    assert not [word for word in ("ADD", "ARG", "VOLUME") if word in {instruction for instruction, _ in said}]


def test_nothing_but_the_sources_goes_into_the_image() -> None:
    ignored = (DEPLOY / "container" / "Containerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    named = {line[1:] for line in ignored if line.startswith("!")}
    assert named == {
        "requirements.lock",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "afml",
        "aggregator",
        "crypto",
        "node",
    }
