"""Folders as options: one that holds what must stay inside is refused where other accounts of the machine reach it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from afml.core.files import require_private


class PrivateFolder(click.Path):
    """A folder, there or not yet, that no other account may read, enter or write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            InputError: Other accounts reach into it.
        """
        return require_private(Path(os.fsdecode(super().convert(value, param, ctx))))


PRIVATE = PrivateFolder(path_type=Path)
