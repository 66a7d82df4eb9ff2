"""The beginning of a task of one's own: a package with one entry point, to put a model into."""

from __future__ import annotations

import re
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import staged_folder

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

_PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A task of AFML: a torch module and a loss."

[project.entry-points."afml.tasks"]
{name} = "{name}:TASK"

[tool.setuptools]
py-modules = ["{name}"]
"""

_TASK = '''\
"""A torch module and the loss of a row: what is trained. Sites compare the digest of this file before they train."""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from afml.tasks.module import ModuleKind, ModuleSettings


class Settings(ModuleSettings):
    """What `train.toml` may say; add what your module needs."""

    hidden: int = 16


class Task(ModuleKind):
    data = ("table",)
    settings_type = Settings

    def module(self, settings: Settings, data) -> nn.Module:
        return nn.Sequential(nn.Linear(data.features, settings.hidden), nn.Tanh(), nn.Linear(settings.hidden, 1))

    def loss(self, settings: Settings, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return binary_cross_entropy_with_logits(predicted[:, 0], target[:, 0], reduction="none")  # one value a row


TASK = Task()
'''

_SETTINGS = """\
# Settings of the task: what the class Settings declares.
hidden = 16
"""

_SCHEMA = """\
# What the columns of everybody's table mean. It is public, and the same at every institution: scales come from the
# literature or from what a quantity can be, never from the people at hand.
person = "person"
targets = ["outcome"]

[[columns]]
name = "age"
centre = 60.0
spread = 15.0

[[columns]]
name = "sex"
kind = "category"
categories = ["F", "M"]

[[columns]]
name = "outcome"
kind = "binary"
"""


def begin(folder: Path) -> Path:
    """Write a package: pyproject.toml, the task's module, schema.toml, train.toml.

    Args:
        folder: To make; its name is the task's.

    Returns:
        The module to put a model into.

    Raises:
        InputError: The name cannot be a task's, or the folder exists.
    """
    name = folder.name
    if not _NAME.fullmatch(name):
        raise InputError("cannot be the name of a task", where=folder, cure="use small letters, digits and _")
    if folder.exists():
        raise InputError("is there already", where=folder, cure="choose another name")
    texts = {"pyproject.toml": _PROJECT.format(name=name), f"{name}.py": _TASK}
    with staged_folder(folder) as staged:
        for file, text in (texts | {"train.toml": _SETTINGS, "schema.toml": _SCHEMA}).items():
            (staged / file).write_text(text, encoding="utf-8")
    return folder / f"{name}.py"
