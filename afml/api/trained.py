"""What a run on this machine ended with: the model, what it cost whom, and the ledgers that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.data.source import open_source
from afml.ledger.findings import require_ok
from afml.ledger.outside import Files, KeyOptions, verify_with
from afml.training.model import ArrayModel
from afml.training.registry import InstalledTask
from node.inuse import in_use
from node.privacy import PrivacyStatement
from node.workspace import Workspace


class Predicted(NamedTuple):
    """Rows of a node's held-out people, person by person.

    Attributes:
        outputs: What the model says, float64 [rows, outputs].
        targets: What is known, float32 [rows, targets].
    """

    outputs: NDArray[np.float64]
    targets: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run on this machine ended with.

    Attributes:
        run: As the coordinator signed it.
        works: node -> its work folder: data, ledger, model.
        statements: node -> what its people have spent, over all runs of its ledger.
        transcript: The aggregator's.
        roster: Of the consortium.
    """

    run: RunConfig
    works: Mapping[int, Path]
    statements: Mapping[int, PrivacyStatement]
    transcript: Path = field(repr=False)
    roster: Path = field(repr=False)
    _task: InstalledTask = field(repr=False)

    @cached_property
    def model(self) -> ArrayModel:
        """The trained model; every node has the same one."""
        return ArrayModel.load(self.folder)

    @property
    def folder(self) -> Path:
        """Where the first node keeps it: model.npz and model.json."""
        return Workspace(self.works[min(self.works)]).model(self.run.run)

    @property
    def ple(self) -> float | None:
        """What the person who spent most has spent at most, in sigma; None of a simulation, which nothing bounds."""
        spent = [one.ple_sigma for one in self.statements.values()]
        return max((one for one in spent if one is not None), default=None) if None not in spent else None

    @property
    def ledgers(self) -> dict[int, Path]:
        """node -> folder of its ledger, which `afml audit` shows, verifies and exports."""
        return {node: Workspace(work).ledger for node, work in self.works.items()}

    @property
    def evaluations(self) -> dict[int, dict[str, Any]]:
        """node -> exact measures of its held-out people, where it keeps any out; its own, never shared."""
        paths = {node: Workspace(work).evaluation(self.run.run) for node, work in self.works.items()}
        return {node: json.loads(path.read_text(encoding="utf-8")) for node, path in paths.items() if path.is_file()}

    def predict(self, node: int) -> Predicted:
        """What the model says of a node's held-out people, beside what is known of them; it stays in this process.

        Args:
            node: Number of the node.

        Raises:
            ConfigError: This kind of task does not predict.
            InputError: The node's data are of a kind without targets.
        """
        work = Workspace(self.works[node])
        with in_use(work):
            prepared = work.prepared()
            kind = self._task.load(prepared)
            task = kind.task(self.run, prepared.public)
            task.load_model(self.model.arrays)
            people = kind.held_out(self.run, prepared)
            source = open_source(prepared.folder)
            rows = source.rows_of(prepared.held_out.enrolled)
            return Predicted(task.predict(people, np.arange(len(people))), np.array(source.targets[rows]))

    def verify(self) -> None:
        """Verify every ledger as `afml audit verify` does: transcript, countersignatures, second accountant.

        Raises:
            IntegrityError: Something was found; names the first finding.
        """
        files = Files(transcripts=(self.transcript,), countersignatures=len(self.works) - 1)
        for node, ledger in self.ledgers.items():
            require_ok(verify_with(ledger, KeyOptions(roster=self.roster, node=node), files))
