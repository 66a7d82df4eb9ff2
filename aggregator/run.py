"""The run that a process serves: what was agreed, how its updates are added, and where its things are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from afml.consortium import orders
from afml.consortium.attempt import Attempt
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError
from afml.core.files import write_bytes
from aggregator.scheme import Scheme
from aggregator.store.base import Lost, Published, Store
from aggregator.threads import in_thread

RUNS = "runs"
"""Below the folder of an aggregator of many runs: a folder for each."""


def folders_of_runs(data: Path) -> list[Path]:
    """Those of an aggregator of many runs, by their names."""
    return sorted(path for path in (data / RUNS).glob("*") if path.is_dir())


@dataclass(frozen=True)
class Folder:
    """The files of one run below its --data folder."""

    root: Path

    @property
    def store(self) -> Path:
        """The run's state, where no other store is named."""
        return self.root / "run.sqlite"

    @property
    def transcript(self) -> Path:
        """The signed record of published rounds."""
        return self.root / "transcript.jsonl"

    @property
    def summary(self) -> Path:
        """Sizes and times, written at the end."""
        return self.root / "summary.json"

    @property
    def seen(self) -> Path:
        """From when on the certificates count that parties were met with."""
        return self.root / "seen.json"

    @property
    def letters(self) -> Path:
        """Bodies of letters."""
        return self.root / "letters"

    @property
    def orders(self) -> Path:
        """Where orders are laid."""
        return self.root / orders.FOLDER

    def uploads(self, attempt: Attempt) -> Path:
        """Folder of an attempt's uploads: a record file per node, under its number once it is whole."""
        return self.root / "uploads" / f"round-{attempt.round}-{attempt.number}"

    def sum(self, attempt: Attempt) -> Path:
        """Record file of an attempt's encrypted sum."""
        return self.root / "sums" / f"round-{attempt.round}-{attempt.number}"

    def claim(self, term: int) -> None:
        """Let go of what another process, on another machine, may have gone beyond: it is brought where it is needed.

        Args:
            term: Of the opened store (`Store.term`): 0 where nobody else can have served the run.

        Raises:
            ConfigError: The run's own state is in this folder: it was begun without that store.
        """
        if not term:
            return
        if self.store.exists():
            cure = "go on without --store, or give the run a new --data folder"
            raise ConfigError("holds a run that is kept in this folder", where=self.root, cure=cure)
        path = self.root / "term"
        if not path.exists() or path.read_text() != str(term - 1):
            for part in ("uploads", "sums", "letters"):
                shutil.rmtree(self.root / part, ignore_errors=True)
            if self.transcript.exists():  # what it signed last may be known to nobody else: it is put aside
                self.transcript.replace(self.root / f"transcript-until-{term}.jsonl")
        write_bytes(path, str(term).encode())

    def clear_uploads(self, keep: Attempt | None) -> None:
        """Remove the uploads of every attempt but one: ciphertexts are kept no longer than their sum needs them."""
        for folder in (self.root / "uploads").glob("round-*"):
            if keep is None or folder != self.uploads(keep):
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self, unwanted: Callable[[str], bool]) -> None:
        """Remove sums and letters of these names (relative to the folder), and what is left of making them."""
        for path in (*(self.root / "sums").glob("round-*"), *self.letters.glob("*")):
            if unwanted(path.relative_to(self.root).as_posix()):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ServedRun:
    """Everything about a run that does not change while it is served, and the store of what does."""

    config: RunConfig
    roster: Roster
    scheme: Scheme
    store: Store
    folder: Folder

    def keep(self, path: Path) -> None:
        """Within a decision: have a file below the folder, as far as it has grown, outlive this machine."""
        self.store.files.keep(self._name(path), path)

    def bring(self, path: Path) -> None:
        """Before anything is served: have a file there that was kept, perhaps by another machine."""
        self.store.files.bring(self._name(path), path)

    async def keep_whole(self, path: Path) -> None:
        """Before it is decided on: have a file that does not change any more outlive this machine."""
        if self.store.term:  # else nobody else can have the run
            await in_thread(self.store.files.aside.keep, self._name(path), path)

    async def bring_whole(self, path: Path) -> None:
        """While others are served: have a file there that was kept."""
        if self.store.term and not path.exists():
            await in_thread(self.store.files.aside.bring, self._name(path), path)

    async def sum(self, found: Published) -> Path | None:
        """The file of a published sum; None where nobody needs it any more."""
        path = self.folder.sum(found.attempt)
        await self.bring_whole(path)
        return path if path.exists() else None

    async def clear_sums(self, before: int) -> bool:
        """Remove the sums of all rounds before one; as `clear`."""
        return await self.clear(lambda name: name.startswith("sums/") and int(name.split("-")[1]) < before)

    async def clear(self, unwanted: Callable[[str], bool]) -> bool:
        """Remove sums and letters of these names, the copies first: what is there tells what has copies.

        Returns:
            Whether it is done; while a database cannot be reached everything stays, and can be removed later.

        Raises:
            Lost: Another process has taken the run on.
        """
        if self.store.term:
            try:
                await in_thread(self.store.files.aside.drop, unwanted)
            except Lost:
                raise
            except OSError:
                return False
        self.folder.clear(unwanted)
        return True

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.root).as_posix()
