"""The tasks that are installed here: entry points of the group `afml.tasks`, each with the digest of its code."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

import afml
from afml.consortium.run import TaskChoice
from afml.core.errors import ConfigError
from afml.data.prepared import Prepared
from afml.training.task import TaskKind

GROUP = "afml.tasks"
_OWN = "afml"
_KIND = ("data", "settings", "check", "plan", "lengths", "task", "enrolled", "held_out")


@dataclass(frozen=True)
class InstalledTask:
    """A task that is installed here, not yet imported.

    Attributes:
        kind: Its name.
        version: Of the distribution that brings it.
        code: Hex SHA-256 of its source, see `source_files`.
        own: Whether it comes with AFML. Any other one runs in a process of its own (afml.training.foreign).
        target: "module:attribute" of its `TaskKind`.
    """

    kind: str
    version: str
    code: str
    own: bool
    target: str

    @property
    def module(self) -> str:
        """Module that its entry point names."""
        return self.target.partition(":")[0]

    @property
    def choice(self) -> TaskChoice:
        """How a run names it; without settings."""
        return TaskChoice(kind=self.kind, version=self.version, code=self.code)

    def load(self, prepared: Prepared | None = None, trusted: Collection[str] = ()) -> TaskKind:
        """The task: imported here where it is ours, else a stand-in that talks to a process of its own.

        Args:
            prepared: The institution's data, where the task will be opened on any.
            trusted: Digests of code that this institution lets run within its node as if it were ours.
        """
        if self.own or self.code in trusted:
            return self.imported()
        from afml.training.foreign.proxy import ForeignKind

        return ForeignKind(self, prepared)

    def imported(self) -> TaskKind:
        """Import it, into this process.

        Raises:
            ConfigError: It cannot be imported, or is not a task kind.
        """
        point = EntryPoint(self.kind, self.target, GROUP)
        try:
            kind = point.load()
        except Exception as error:  # noqa: BLE001 - whatever somebody's module raises when it is imported
            raise ConfigError(
                f"the task cannot be imported ({type(error).__name__}: {error})",
                where=f"task {self.kind}",
                cure="mend or reinstall its package",
            ) from None
        if lacking := [name for name in _KIND if not hasattr(kind, name)]:
            raise ConfigError(
                f"{self.target} is not a task kind (afml.training.task.TaskKind): it lacks {lacking[0]}",
                where=f"task {self.kind}",
                cure=f"name an object with {', '.join(_KIND)} in its entry point",
            )
        return cast(TaskKind, kind)


def names() -> tuple[str, ...]:
    """Kinds of all installed tasks, in alphabetical order."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def find(kind: str, *, where: object = "") -> InstalledTask:
    """The installed task of a kind.

    Raises:
        ConfigError: There is none, or two packages bring one of this name.
    """
    points = {point.value: point for point in entry_points(group=GROUP) if point.name == kind}
    if len(points) != 1:
        problem = f"the task {kind} is not installed here" if not points else f"two packages bring a task {kind}"
        cure = f"install its package; installed are {', '.join(names())}" if not points else "remove one of them"
        raise ConfigError(problem, where=where, cure=cure)
    (point,) = points.values()
    distribution = point.dist
    version = distribution.version if distribution is not None else ""
    named_ours = distribution is not None and distribution.name == _OWN
    own = named_ours and point.module.startswith(f"{_OWN}.")  # a name is claimed easily; our package is ours
    return InstalledTask(kind, version, code_digest(point.module, own), own, point.value)


def agreed(choice: TaskChoice, *, where: object = "") -> InstalledTask:
    """The installed task of a run: of the very code that the run names.

    Raises:
        ConfigError: It is not installed, or other code than the run's is.
    """
    found = find(choice.kind, where=where)
    if found.code != choice.code:
        raise ConfigError(
            f"the run names code {choice.code[:12]} of task {choice.kind} {choice.version}; "
            f"{found.code[:12]} ({found.version}) is installed here",
            where=where,
            cure="install the same version of it as the coordinator",
        )
    return found


@cache
def code_digest(module: str, own: bool) -> str:
    """SHA-256, hex, over the source of a task: names and contents of its files."""
    digest = hashlib.sha256()
    for root in package_roots(module, own=own):
        for path in source_files(root):  # a digest of each, so that nothing in a file can pass for the name of another
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root.parent).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def stated_code() -> dict[str, str]:
    """Package -> digest of its source as installed here, of those that a node runs: what a node says of itself."""
    return {package: code_digest(package, own=False) for package in ("afml", "crypto", "node")}


def source_files(root: Path) -> list[Path]:
    """All files of a package but compiled ones, or a single module, in order."""
    if root.is_file():
        return [root]
    return sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def package_roots(module: str, *, own: bool) -> list[Path]:
    """Where the source of a task is.

    A task of ours is its room (`afml.masking`, or all of `afml.tasks`) and the room of the guarantee; any other one is
    its whole top-level package.

    Raises:
        ConfigError: There is no such package.
    """
    if own:
        packages = [".".join(module.split(".")[:2]), "afml.training"]
        base = Path(afml.__file__).parents[1]
        return [base.joinpath(*package.split(".")) for package in packages]
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)  # finds a top-level package without importing it
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise ConfigError(f"the package {top} cannot be found", where=f"task of {module}", cure="reinstall it")
    if spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(str(spec.origin))]
