"""The task that somebody means: an installed one by its name, a package by its folder, a task kind by itself."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from afml.core.errors import ConfigError, InputError
from afml.core.files import read_text
from afml.data.prepared import Prepared
from afml.training.registry import GROUP, InstalledTask, code_digest, find
from afml.training.task import TaskKind

_PROJECT = "pyproject.toml"
_SOURCES = ("src", ".")
"""Where the packages of a project lie, below its folder."""


@dataclass(frozen=True)
class ObjectTask(InstalledTask):
    """A task kind of this process. Its code is the source of its class, which nobody else can compare.

    Attributes:
        given: The kind itself.
    """

    given: Any = field(default=None, repr=False)

    def load(self, prepared: Prepared | None = None, trusted: Collection[str] = ()) -> TaskKind:
        """The kind itself."""
        return self.imported()

    def imported(self) -> TaskKind:
        """The kind itself."""
        kind: TaskKind = self.given
        return kind


def found(task: str | Path | TaskKind) -> InstalledTask:
    """What is meant by `task`: a name, a folder with a pyproject.toml, or a task kind.

    Raises:
        ConfigError: There is no such task.
        InputError: The folder is no package of a task.
    """
    if isinstance(task, Path) or (isinstance(task, str) and (Path(task) / _PROJECT).is_file()):
        return in_folder(Path(task))
    if isinstance(task, str):
        return find(task, where="task")
    return _of_object(task)


def anybodys(task: InstalledTask) -> bool:
    """Whether other processes find the task by its name, and find the same code."""
    return not isinstance(task, ObjectTask) and any(
        point.name == task.kind and point.value == task.target for point in metadata.entry_points(group=GROUP)
    )


def in_folder(folder: Path) -> InstalledTask:
    """The task of a package that need not be installed: its folder becomes a place that Python imports from.

    Args:
        folder: Holds the package's pyproject.toml, with one entry point of the group `afml.tasks`.

    Raises:
        InputError: It does not.
        ConfigError: What the entry point names is not there.
    """
    path = folder / _PROJECT
    try:
        project = tomllib.loads(read_text(path, "project file", "give the folder of a task's package")).get(
            "project", {}
        )
        points = dict(project.get("entry-points", {}).get(GROUP, {}))
    except (ValueError, AttributeError) as error:
        raise InputError(f"cannot be parsed ({error})", where=path, cure="correct the syntax") from None
    if len(points) != 1:
        raise InputError(
            f"names {len(points)} tasks", where=path, cure=f'name one under [project.entry-points."{GROUP}"]'
        )
    ((kind, target),) = points.items()
    for source in _SOURCES:
        place = str((folder / source).resolve())
        if Path(place).is_dir() and place not in sys.path:
            sys.path.insert(0, place)
    importlib.invalidate_caches()
    module = str(target).partition(":")[0]
    return InstalledTask(kind, str(project.get("version", "")), code_digest(module, False), False, str(target))


def _of_object(kind: TaskKind) -> ObjectTask:
    if isinstance(kind, type) or not hasattr(kind, "enrolled"):
        raise ConfigError(
            f"{kind!r} is no task kind", where="task", cure="give an object of your class, for example Mine()"
        )
    named = type(kind)
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", named.__name__)
    try:
        code = hashlib.sha256(inspect.getsource(named).encode()).hexdigest()
    except (OSError, TypeError):  # typed into an interpreter that keeps no source
        code = ""
    name = "-".join(word.lower() for word in words) or "task"
    return ObjectTask(name[:32], "", code, False, f"{named.__module__}:{named.__name__}", kind)
