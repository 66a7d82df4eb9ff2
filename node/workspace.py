"""What an institution keeps on its own disk, and where.

work/
  site_panel.json   the agreed site panel          panel.zarr    public panel genotypes at those sites
  cohort.zarr       this institution's genotypes   people.tsv    sample, the table's columns, role (train | holdout)
  card.json         what it declares in public     ledger/       every spend, of all runs
  runs/<run>/       keys and progress of one run; keys go when it ends
  models/<run>/     the trained model              privacy/<run>.json  what the run cost
  releases/<run>/   release.vcf.gz and its index   columns/<run>.json  who is which column: stays here
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file, staged_file
from afml.core.run import RiskSettings
from afml.genomics.phenotypes import Phenotypes, format_number, parse_number
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.training.cohort import Cohort, select


@dataclass(frozen=True)
class Workspace:
    """Paths inside one node's work folder."""

    root: Path

    @property
    def site_panel(self) -> Path:
        """The agreed sites."""
        return self.root / "site_panel.json"

    @property
    def panel_store(self) -> Path:
        """Public panel genotypes."""
        return self.root / "panel.zarr"

    @property
    def cohort_store(self) -> Path:
        """This institution's genotypes."""
        return self.root / "cohort.zarr"

    @property
    def people(self) -> Path:
        """Sample, columns of the phenotype table, role."""
        return self.root / "people.tsv"

    @property
    def card(self) -> Path:
        """The public card."""
        return self.root / "card.json"

    @property
    def ledger(self) -> Path:
        """The ledger of this node."""
        return self.root / "ledger"

    def run(self, run: str) -> Path:
        """Progress and keys of a run."""
        return self.root / "runs" / run

    def model(self, run: str) -> Path:
        """The trained model of a run."""
        return self.root / "models" / run

    def privacy(self, run: str) -> Path:
        """What a run cost."""
        return self.root / "privacy" / f"{run}.json"

    def release(self, run: str) -> Path:
        """The masked VCF of a run."""
        return self.root / "releases" / run / "release.vcf.gz"

    def columns(self, run: str) -> Path:
        """Row of the store behind each column of the masked VCF; never leaves the institution."""
        return self.root / "columns" / f"{run}.json"

    def require_prepared(self) -> None:
        """Refuse a folder that `afml prepare` has not finished.

        Raises:
            InputError: Something is missing.
        """
        for path in (self.site_panel, self.panel_store, self.cohort_store, self.people, self.card):
            if not path.exists():
                raise InputError("work folder is not prepared", where=path, cure="run `afml prepare` first")


@dataclass(frozen=True)
class People:
    """The people of one institution in store order.

    Attributes:
        samples: Their names.
        table: Every column of the phenotype table, rows in the same order.
        enrolled: bool [people], False for those held out for evaluation.
    """

    samples: tuple[str, ...]
    table: Phenotypes
    enrolled: NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write people.tsv, readable by its owner only."""
        with staged_file(path) as staged:
            staged.touch(mode=0o600)
            with staged.open("w", newline="", encoding="utf-8") as out:
                writer = csv.writer(out, delimiter="\t", lineterminator="\n")
                writer.writerow(["sample", *self.table.names, "role"])
                rows = zip(self.samples, self.table.values.tolist(), self.enrolled, strict=True)
                for sample, values, train in rows:
                    writer.writerow([sample, *map(format_number, values), "train" if train else "holdout"])

    @classmethod
    def load(cls, path: Path) -> People:
        """Read people.tsv."""
        with require_file(path, "people table").open(newline="", encoding="utf-8") as source:
            rows = list(csv.DictReader(source, delimiter="\t"))
        names = tuple(name for name in (rows[0] if rows else ()) if name not in ("sample", "role"))
        values = np.array([[parse_number(row[name]) for name in names] for row in rows], dtype=np.float64)
        return cls(
            tuple(row["sample"] for row in rows),
            Phenotypes(names, values.reshape(len(rows), len(names))),
            np.array([row["role"] == "train" for row in rows], dtype=np.bool_),
        )

    def rows(self, people: NDArray[np.int64]) -> People:
        """Some of the people."""
        table = Phenotypes(self.table.names, self.table.values[people])
        return People(tuple(self.samples[person] for person in people), table, self.enrolled[people])

    def cohort(self, dosage: NDArray[np.int8], risk: RiskSettings, *, where: Path) -> Cohort:
        """Everybody as training sees them: the columns that a run declares, in its order.

        Args:
            dosage: [people, sites].
            risk: Declares traits and covariates.
            where: people.tsv, to blame.

        Raises:
            InputError: A declared column is missing or incomplete, or a binary trait is not 0 or 1.
        """
        return select(dosage, lambda name: self.table.column(name, where=where), risk, where=where)


@dataclass(frozen=True)
class Holdings:
    """What a node loads to train: sites, public panel and its own enrolled people."""

    panel: SitePanel
    panel_dosage: NDArray[np.int8]  # [panel people, sites]
    cohort: Cohort
    enrolled_samples: tuple[str, ...]


def load_holdings(work: Workspace, risk: RiskSettings) -> Holdings:
    """Open a prepared work folder.

    Args:
        work: The folder.
        risk: Of the run; says which columns of the phenotype table it trains.

    Raises:
        InputError: The folder is not prepared, or one of its people, enrolled or held out, lacks a value in a
            column that the run declares.
    """
    work.require_prepared()
    people = People.load(work.people)
    rows = np.flatnonzero(people.enrolled)
    # Held-out people's columns are needed after training, when the budget is spent: refuse now what fails then.
    columns = people.cohort(np.zeros((len(people.samples), 0), np.int8), risk, where=work.people)
    return Holdings(
        SitePanel.load(work.site_panel),
        GenotypeStore.open(work.panel_store).dosage(),
        replace(columns.rows(rows), dosage=GenotypeStore.open(work.cohort_store).dosage(rows)),
        people.rows(rows).samples,
    )
