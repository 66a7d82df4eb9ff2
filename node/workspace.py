"""What an institution keeps on its own disk, and where.

work/
  site_panel.json   the agreed site panel          panel.zarr    public panel genotypes at those sites
  cohort.zarr       this institution's genotypes   people.tsv    sample, phenotype, role (train | holdout)
  card.json         what it declares in public     ledger/       every spend, of all runs
  runs/<run>/       keys and progress of one run; keys go when it ends
  models/<run>/     the trained model              privacy/<run>.json  what the run cost
  releases/<run>/   release.vcf.gz and its index   columns/<run>.json  who is which column: stays here
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.files import require_file, staged_file
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.training.program import Cohort


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
        """Sample, phenotype, role."""
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
    """The people of one institution in store order."""

    samples: tuple[str, ...]
    phenotype: NDArray[np.int8]  # [people], 0 or 1
    enrolled: NDArray[np.bool_]  # [people], False for those held out for evaluation

    def save(self, path: Path) -> None:
        """Write people.tsv, readable by its owner only."""
        with staged_file(path) as staged:
            staged.touch(mode=0o600)
            with staged.open("w", newline="") as out:
                writer = csv.writer(out, delimiter="\t", lineterminator="\n")
                writer.writerow(["sample", "phenotype", "role"])
                for sample, value, train in zip(self.samples, self.phenotype, self.enrolled, strict=True):
                    writer.writerow([sample, int(value), "train" if train else "holdout"])

    @classmethod
    def load(cls, path: Path) -> People:
        """Read people.tsv."""
        with require_file(path, "people table").open(newline="") as source:
            rows = list(csv.DictReader(source, delimiter="\t"))
        return cls(
            tuple(row["sample"] for row in rows),
            np.array([int(row["phenotype"]) for row in rows], dtype=np.int8),
            np.array([row["role"] == "train" for row in rows], dtype=np.bool_),
        )


@dataclass(frozen=True)
class Holdings:
    """What a node loads to train: sites, public panel and its own enrolled people."""

    panel: SitePanel
    panel_dosage: NDArray[np.int8]  # [panel people, sites]
    cohort: Cohort
    enrolled_samples: tuple[str, ...]


def load_holdings(work: Workspace) -> Holdings:
    """Open a prepared work folder."""
    work.require_prepared()
    people = People.load(work.people)
    store = GenotypeStore.open(work.cohort_store)
    rows = np.flatnonzero(people.enrolled)
    return Holdings(
        SitePanel.load(work.site_panel),
        GenotypeStore.open(work.panel_store).dosage(),
        Cohort(store.dosage(rows), people.phenotype[rows]),
        tuple(people.samples[row] for row in rows),
    )
