"""`afml task check`: what it finds right with a task, and what wrong with tasks that are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from afml.api.template import begin
from afml.core.errors import InputError
from tests import warm
from tests.processes import command, environment

HEAD = """
import torch
from torch import nn
from torch.nn.functional import mse_loss
from afml.tasks.module import ModuleKind

class Task(ModuleKind):
    data = ("table",)
"""
LINEAR = """
    def module(self, settings, data):
        return nn.Linear(data.features, 1)
"""
SQUARES = """
    def loss(self, settings, predicted, target):
        return mse_loss(predicted[:, 0], target[:, 0], reduction="none")
"""


def _package(folder: Path, *parts: str) -> Path:
    """The beginning of a package, its module replaced."""
    module = begin(folder)
    module.write_text("\n".join([HEAD, *parts, "TASK = Task()\n"]))
    return folder


def _checked(folder: Path, *options: object) -> tuple[int, dict[str, dict[str, object]], str]:
    """(exit code, what -> last finding, standard error) of the command."""
    plan = ("--rounds", 2, "--sample-rate", 1, "--ple", 0.5)
    done = warm.run(command("task", "check", folder, *plan, "--json", *options), env=environment())
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, {one["what"]: one for one in found}, done.stderr


def test_the_template_passes_and_its_plan_is_priced(tmp_path: Path) -> None:
    folder = begin(tmp_path / "mine").parent
    code, found, said = _checked(folder, "--schema", folder / "schema.toml", "--settings", folder / "train.toml")
    assert code == 0, said
    assert list(found) == ["code", "data", "plan", "start", "gradients", "people", "clip", "step", "round"]
    assert all(one["ok"] for one in found.values())
    assert "train 2 rounds of 100% of the people, 81 parameters" in str(found["plan"]["told"])
    assert "PLE 0.500 sigma" in str(found["plan"]["told"])
    assert not (folder / "consortium").exists()


def test_a_loss_that_mixes_people_is_found(tmp_path: Path) -> None:
    mixes = """
    def loss(self, settings, predicted, target):
        return ((predicted - predicted.mean()) ** 2)[:, 0]
"""
    code, found, said = _checked(_package(tmp_path / "mixes", LINEAR, mixes))
    assert code == 2
    wrong = [one for one in found.values() if not one["ok"]]
    assert wrong
    assert all(one["cure"] for one in wrong)
    assert "wrong" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (
            "return nn.Sequential(nn.Linear(data.features, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))",
            "BatchNorm|per channel",
        ),
        ("raise ValueError('no such thing')", "no such thing"),
        ("return nn.Linear(3, 1)", ""),
    ],
    ids=["batch-norm", "raises", "other-shape"],
)
def test_a_module_that_cannot_be_trained_is_a_finding_and_no_trace(tmp_path: Path, module: str, line: str) -> None:
    wrong = f"""
    def module(self, settings, data):
        {module}
"""
    code, found, said = _checked(_package(tmp_path / "wrong", wrong, SQUARES))
    assert code == 2
    assert "Traceback" not in said
    told = " ".join(str(one["told"]) for one in found.values() if not one["ok"])
    assert re.search(line, told)


def test_wrong_packages_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "pyproject.toml").write_text("[project]\nname = 'empty'\n")
    for which, line in (
        (tmp_path / "empty", "names 0 tasks"),
        ("nothing", "the task nothing is not installed here"),
        (_package(tmp_path / "broken", "    import no_such_package"), "cannot be imported (ModuleNotFoundError"),
    ):
        code, found, said = _checked(Path(which))
        assert code == 2
        assert line in str(found["code"]["told"])
        assert len(said.splitlines()) == 1


def test_a_new_package_needs_a_name_and_a_place(tmp_path: Path) -> None:
    for name, line in (("Mine", "cannot be the name"), ("my-task", "cannot be the name"), ("mine", "is there already")):
        (tmp_path / "mine").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=line):
            begin(tmp_path / name)
