"""Folders and run files as options: a private folder that others reach is refused, a run's name is no file of it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from afml.consortium.run import RUN_NAME, RunConfig
from afml.core.errors import AfmlError, InputError
from afml.core.files import require_private

_RUNS = ("*.json", "*/*.json", "*/offered/*/run.json", "*/runs/*/run.json")
"""Where signed runs lie, as seen from where somebody types: beside, in a folder, in those of a daemon or aggregator."""


class PrivateFolder(click.Path):
    """A folder, there or not yet, that no other account may read, enter or write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            InputError: Other accounts reach into it.
        """
        return require_private(Path(os.fsdecode(super().convert(value, param, ctx))))


class RunFile(click.Path):
    """A run.json, there or not. A run's name, or the folder that holds its file, is told from a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            InputError: It is a folder, or nothing is there and it looks like the name of a run; names the file that is
                meant, where it lies near.
        """
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_dir():
            found, problem = (
                [one for one in (path / "run.json",) if one.is_file()],
                "is a folder; a run is given by its file",
            )
        elif path.exists() or path.suffix == ".json" or not re.fullmatch(RUN_NAME, str(path)):
            return path
        else:
            found, problem = list(_runs_named(str(path))), "is no file; a run is given by its file, not by its name"
        cure = " or ".join(shlex.quote(str(one)) for one in found) or "the run.json that the coordinator has signed"
        raise InputError(problem, where=path, cure=f"give {cure}")


def _runs_named(name: str) -> Iterator[Path]:
    """Files of signed runs near by that have a name."""
    here = Path()
    for path in chain.from_iterable(sorted(here.glob(pattern)) for pattern in _RUNS):
        if not path.with_suffix(".sig").is_file():
            continue
        try:
            config = RunConfig.load(path)
        except AfmlError:
            continue
        if config.run == name:
            yield path


PRIVATE = PrivateFolder(path_type=Path)
RUN_FILE = RunFile(path_type=Path)
