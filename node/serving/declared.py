"""What an operator declares for the daemon in `serve.toml`: the aggregator, and which prepared data serve which task.

    aggregator = "aggregator.example.org:7443"
    ledger = "/var/lib/afml/ledger"              # of the institution; may be left out where there is one work folder

    [work.exomes]
    folder = "/var/lib/afml/exomes"              # that `afml prepare` made
    tasks = ["masking", "gwas"]

It says what may be used for what; whether a run is taken at all is the policy's word (`node.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from afml.consortium.card import NodeCard
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.core.errors import ConfigError, InputError, PolicyError
from afml.core.files import require_private
from node.policy import ANY
from node.workspace import Workspace


class WorkFolder(Settings):
    """Prepared data, and the tasks that they serve."""

    folder: Path
    tasks: tuple[str, ...] = Field(min_length=1, description=f'kinds of tasks; "{ANY}" for every one')


class Serve(Settings):
    """The file."""

    aggregator: str = Field(min_length=1, description="host:port; several behind commas, as of `afml node`")
    ledger: Path | None = Field(default=None, description="folder of the institution's one ledger")
    work: dict[str, WorkFolder] = Field(min_length=1)


@dataclass(frozen=True)
class Declared:
    """What is declared, its paths complete.

    Attributes:
        path: Of the file.
        aggregator: Its address, or several of it behind commas.
        ledger: Folder of the institution's ledger; None for that of the one work folder.
        works: Work folders, and the tasks of each.
    """

    path: Path
    aggregator: str
    ledger: Path | None
    works: tuple[tuple[Workspace, tuple[str, ...]], ...]

    @classmethod
    def load(cls, path: Path) -> Declared:
        """Read the file; paths in it are relative to its folder.

        Raises:
            InputError: It is missing or malformed, or others reach into one of the folders.
            ConfigError: Several work folders and no ledger: each would begin one of its own.
        """
        said = Serve.load(path)
        works = {name: require_private(path.absolute().parent / one.folder) for name, one in said.work.items()}
        if said.ledger is None and len(works) > 1:
            cure = 'name the institution\'s one ledger: ledger = "FOLDER"; `afml ledger begin` begins the first'
            raise ConfigError("names several work folders and no ledger", where=path, cure=cure)
        ledger = None if said.ledger is None else require_private(path.absolute().parent / said.ledger)
        pairs = tuple((Workspace(works[name]), one.tasks) for name, one in said.work.items())
        return cls(path, said.aggregator, ledger, pairs)

    def require_apart(self, state: Path) -> None:
        """Refuse a work folder as the daemon's own: whatever works in it would find it taken.

        Raises:
            InputError: `state` is one.
        """
        if state.resolve() in {work.root.resolve() for work, _ in self.works}:
            raise InputError("is a work folder of data", where=state, cure="give --state a folder of its own")

    def require_ready(self, kit: NodeKit) -> None:
        """Refuse folders that are not prepared, or of another node.

        Raises:
            InputError: One is.
        """
        for work, _ in self.works:
            work.require_prepared()
            if (found := NodeCard.load(work.card).node) != kit.node:
                cure = f"name work folders of node {kit.node} in {self.path.name}"
                raise InputError(f"is the card of node {found}", where=work.card, cure=cure)

    def holding(self, run: RunConfig, node: int) -> Workspace:
        """The one work folder that a run was configured from and that serves its task.

        Args:
            run: The run.
            node: This site's number, which it enrols.

        Raises:
            PolicyError: There is none, or there are several.
        """
        where, kind = f"run {run.run}", run.task.kind
        for_task = [work for work, tasks in self.works if kind in tasks or ANY in tasks]
        if not for_task:
            cure = f"add it to the tasks of a work folder in {self.path.name}, if this site wants it"
            raise PolicyError(f"trains the task {kind}, which no work folder here serves", where=where, cure=cure)
        wanted = run.enrolled[node], run.data
        found = [work for work in for_task if _declared(work, run) == wanted]
        if not found:
            raise PolicyError(
                f"is about {wanted[0]} people here and {run.data.named}, which no work folder for its task holds",
                where=where,
                cure="have it configured from the present card.json of such a folder",
            )
        if len(found) > 1:
            both = " and ".join(str(work.root) for work in found)
            cure = f"leave its task to one of them in {self.path.name}"
            raise PolicyError(f"could be played from {both}", where=where, cure=cure)
        return found[0]


def _declared(work: Workspace, run: RunConfig) -> object:
    card = NodeCard.load(work.card)
    return card.people(run.people), card.data
