"""The run that a process serves: what was agreed, how its updates are added, and where its things are kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from afml.consortium import orders
from afml.consortium.attempt import Attempt
from afml.consortium.roster import Roster
from afml.consortium.run import RunConfig
from aggregator.scheme import Scheme
from aggregator.store.base import Store


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

    def sum(self, round_number: int) -> Path:
        """Record file of a round's encrypted sum."""
        return self.root / "sums" / f"round-{round_number}"

    def clear_uploads(self, keep: Attempt | None) -> None:
        """Remove the uploads of every attempt but one: ciphertexts are kept no longer than their sum needs them."""
        for folder in (self.root / "uploads").glob("round-*"):
            if keep is None or folder != self.uploads(keep):
                shutil.rmtree(folder, ignore_errors=True)

    def clear_sums(self, before: int) -> None:
        """Remove the sums of all rounds before one, and what is left of making them."""
        for path in (self.root / "sums").glob("round-*"):
            if int(path.name.removeprefix("round-").split(".")[0]) < before:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ServedRun:
    """Everything about a run that does not change while it is served, and the store of what does."""

    config: RunConfig
    roster: Roster
    scheme: Scheme
    store: Store
    folder: Folder
