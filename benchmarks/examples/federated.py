"""The people of an example, and AFML's own arm: the in-process reference, equal to the federation bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from afml.consortium.card import DataAgreement, NodeCard
from afml.consortium.run import RunConfig
from afml.core.files import staged_folder
from afml.data.holdout import HoldoutDraw
from afml.data.kind import DATA_KINDS
from afml.data.people import PeopleTable, PersonColumns
from afml.data.prepared import Prepared
from afml.data.source import open_source
from afml.privacy.noise import with_fewest_bits
from afml.tasks.module import ModuleKind
from afml.training.inprocess import train_in_process
from afml.training.planning import configure
from afml.training.registry import InstalledTask, find
from benchmarks.examples.example import INSTITUTIONS, Example

HOLDOUT = 0.25
NAME = "example"
"""Of every run; the seed alone tells them apart."""


class _Here(InstalledTask):
    """An installed task that is imported into this process: a measurement has nobody's people to protect."""

    def load(self, prepared: Prepared | None = None) -> Any:
        """See `InstalledTask.load`."""
        return self.imported()


@dataclass(frozen=True)
class Split:
    """Who trains and who is scored in one seed, everybody of all institutions.

    Attributes:
        train: (features [people, *shape], targets [people, T]) of each institution's enrolled.
        test: The same of all held-out people together.
    """

    train: list[tuple[torch.Tensor, torch.Tensor]]
    test: tuple[torch.Tensor, torch.Tensor]


class Consortium:
    """Five institutions with an example's data.

    Args:
        example: Which.
        data: Where its make_data.py wrote.
        stores: Folder for the stored data; what is there is used again.
    """

    def __init__(self, example: Example, data: Path, stores: Path) -> None:
        self.example, self._stores = example, stores
        agreements = [self._store(data, node) for node in self.nodes]
        if len({one.fingerprint for one in agreements}) > 1:
            raise ValueError(f"the institutions of {example.name} disagree on their data")
        self._data = agreements[0]

    @property
    def nodes(self) -> range:
        """Numbers of the institutions."""
        return range(1, INSTITUTIONS + 1)

    @cached_property
    def task(self) -> InstalledTask:
        """The example's task, installed."""
        found = find(self.example.name)
        return _Here(found.kind, found.version, found.code, found.own, found.target)

    @cached_property
    def kind(self) -> ModuleKind:
        """The same, imported."""
        kind = self.task.imported()
        assert isinstance(kind, ModuleKind)
        return kind

    @cached_property
    def template(self) -> RunConfig:
        """The run of everybody, as `afml configure` plans it."""
        cards = [NodeCard(node=n, data=self._data, enrolled=len(self._samples(n))) for n in self.nodes]
        terms = self.example.terms().model_copy(update={"name": NAME})
        return configure("examples", cards, self.task, self.example.settings(), self.example.rounds(), terms)

    def run(self, seed: int) -> RunConfig:
        """The run of one seed: its people, its draws."""
        enrolled = {node: len(self._enrolled(node, seed)) for node in self.nodes}
        return with_fewest_bits(self.template.model_copy(update={"enrolled": enrolled, "seed": seed}))

    def fresh(self) -> nn.Module:
        """The module at its first parameters, which are the same in every arm."""
        return self.module(self._first)

    @cached_property
    def _first(self) -> dict[str, NDArray[Any]]:
        return dict(self.kind.task(self.template, self._stores / "node-1" / "data" / "public").model().arrays)

    def split(self, seed: int) -> Split:
        """Everybody's rows in one seed; every person has one."""
        train, tests = [], []
        for node in self.nodes:
            source = open_source(self.prepared(node, seed).folder)
            if len(source) != len(source.row_counts):
                raise ValueError("an example's people have one row each")
            features, targets = torch.from_numpy(np.array(source.features)), torch.from_numpy(np.array(source.targets))
            order = source.rows_of(np.arange(len(source)))
            chosen = self._enrolled(node, seed)
            others = np.setdiff1d(np.arange(len(source)), chosen)
            train.append((features[order[chosen]], targets[order[chosen]]))
            tests.append((features[order[others]], targets[order[others]]))
        return Split(train, (torch.cat([one for one, _ in tests]), torch.cat([one for _, one in tests])))

    def federated(self, seed: int, run: RunConfig | None = None) -> Any:
        """The model that the federation of this seed ends with; `run` where it is not the example's."""
        run = run or self.run(seed)
        prepared = {node: self.prepared(node, seed) for node in self.nodes}
        self.kind.check(run)
        task = self.kind.task(run, prepared[1].public)
        train_in_process(run, task, {node: self.kind.enrolled(run, one) for node, one in prepared.items()})
        return task.model()

    def module(self, arrays: dict[str, NDArray[Any]]) -> nn.Module:
        """The module with a saved model's parameters."""
        with torch.random.fork_rng(devices=[]):
            made = self.kind.module(self.kind.settings(self.template.task.settings), self.template.data)
        made.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
        return made

    def prepared(self, node: int, seed: int) -> Prepared:
        """An institution's data with the people of one seed."""
        folder = self._stores / f"node-{node}"
        table = folder / f"people-{seed}.tsv"
        if not table.exists():
            samples = self._samples(node)
            enrolled = np.zeros(len(samples), bool)
            enrolled[self._enrolled(node, seed)] = True
            PeopleTable(samples, _no_columns(len(samples)), enrolled).save(table)
        return Prepared(folder / "data", table, self._data)

    def _store(self, data: Path, node: int) -> DataAgreement:
        folder = self._stores / f"node-{node}"
        kind, options = self.example.options(data, node)
        if not folder.exists():
            with staged_folder(folder) as staged:
                (staged / "data").mkdir()
                built = DATA_KINDS.get(kind).build(staged / "data", options, lambda _: None)
                PeopleTable(built.samples, _no_columns(len(built.samples)), np.ones(len(built.samples), bool)).save(
                    staged / "people.tsv"
                )
                (staged / "agreement.json").write_bytes(built.data.canonical())
        return DataAgreement.load(folder / "agreement.json")

    def _samples(self, node: int) -> tuple[str, ...]:
        return PeopleTable.load(self._stores / f"node-{node}" / "people.tsv").samples

    def _enrolled(self, node: int, seed: int) -> NDArray[np.int64]:
        """Who is enrolled, as `afml prepare --seed` draws them."""
        draw = HoldoutDraw(HOLDOUT, seed)
        assert draw.simulated_key is not None
        return np.flatnonzero(draw.enrolled(draw.simulated_key, self._samples(node)))


def _no_columns(people: int) -> PersonColumns:
    return PersonColumns((), np.zeros((people, 0)))
