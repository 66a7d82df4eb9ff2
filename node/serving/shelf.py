"""The daemon's folder: runs on offer, each as it was fetched, and runs that were taken, for good.

serve/
  offered/<digest>/   run.json and run.sig of a run that is on offer and was not taken, for `afml run show`
  runs/<run>/         run.json, run.sig, taken.json (where it is played), log (of its processes), over (how it ended)
  serving.json        what the daemon says of itself (`node.serving.standing`)

A run's keys, progress and model are in the work folder that it is played in, as ever (`node.workspace`).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from afml.consortium.run import RunConfig
from afml.core.config import Settings, canonical_json
from afml.core.errors import PolicyError
from afml.core.files import staged_folder, write_bytes
from node.journal import progress
from node.workspace import Workspace

_CONFIG, _SIGNATURE, _TAKEN, _OVER = "run.json", "run.sig", "taken.json", "over"


class _Note(Settings):
    """taken.json: the run's digest (hex), the work folder, and when it was taken (Unix seconds)."""

    run_digest: str
    work: Path
    at: float


@dataclass(frozen=True)
class Taken:
    """A run that was taken.

    Attributes:
        run: Its name.
        digest: Of its configuration.
        work: Where it is played.
        folder: Its own, in the daemon's.
        at: When it was taken, Unix seconds.
    """

    run: str
    digest: bytes
    work: Workspace
    folder: Path
    at: float

    @property
    def run_file(self) -> Path:
        """As the coordinator signed it."""
        return self.folder / _CONFIG

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder / "log"

    @property
    def over(self) -> str:
        """How it ended here for good; "" while it may go on."""
        path = self.folder / _OVER
        return path.read_text(encoding="utf-8") if path.is_file() else over_in(self.work, self.run)

    def end(self, how: str) -> None:
        """It has ended here for good: whatever becomes of the work folder, it is not taken again."""
        if not (self.folder / _OVER).is_file():
            write_bytes(self.folder / _OVER, how.encode())


def over_in(work: Workspace, run: str) -> str:
    """How a run ended in a work folder, for good; "" where it was not begun there, or may go on."""
    if ended := progress(work.run(run))[1]:
        return ended
    saved = work.model(run).is_dir() and not (work.run(run) / "pad.key").exists()  # keys go last (`node.take_part`)
    return "finished" if saved else ""


class Shelf:
    """Runs on offer and runs taken, below the daemon's folder."""

    def __init__(self, root: Path) -> None:
        self.root, self._offered, self._runs = root, root / "offered", root / "runs"

    def offered(self, digest: bytes) -> Path:
        """The run.json of a run on offer, which may not be there."""
        return self._offered / digest.hex() / _CONFIG

    def lay(self, digest: bytes, papers: tuple[bytes, bytes]) -> Path:
        """Keep what a run on offer is; returns its run.json."""
        path = self.offered(digest)
        with staged_folder(path.parent) as staged:
            (staged / _SIGNATURE).write_bytes(papers[1])
            (staged / _CONFIG).write_bytes(papers[0])
        return path

    def drop(self, digest: bytes) -> None:
        """It is not what it was said to be."""
        shutil.rmtree(self.offered(digest).parent, ignore_errors=True)

    def forget(self, *, but: Collection[bytes]) -> None:
        """Runs that are on offer no more, or were taken."""
        kept = {digest.hex() for digest in but}
        for path in self._offered.glob("*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def take(self, run: RunConfig, work: Workspace, at: float) -> Taken:
        """Take a run on offer, durably.

        Raises:
            PolicyError: One of its name was taken before.
        """
        folder = self._runs / run.run
        if folder.exists():
            cure = "have it made anew under another name with `afml configure`"
            raise PolicyError("another run of this name was taken before", where=f"run {run.run}", cure=cure)
        source = self.offered(run.digest())
        note = {"run_digest": run.digest().hex(), "work": str(work.root), "at": at}
        with staged_folder(folder) as staged:
            for name in (_SIGNATURE, _CONFIG):
                write_bytes(staged / name, source.with_name(name).read_bytes())
            write_bytes(staged / _TAKEN, canonical_json(note))
        return self._read(folder)

    def taken(self) -> list[Taken]:
        """Every run that was ever taken, the first first.

        Raises:
            InputError: What is noted of one is malformed.
        """
        found = [self._read(path.parent) for path in self._runs.glob(f"*/{_TAKEN}") if path.parent.name[0] != "."]
        return sorted(found, key=lambda one: (one.at, one.run))

    def _read(self, folder: Path) -> Taken:
        note = _Note.load(folder / _TAKEN)
        return Taken(folder.name, bytes.fromhex(note.run_digest), Workspace(note.work), folder, note.at)
