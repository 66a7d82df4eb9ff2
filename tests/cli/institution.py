"""One institution's good inputs, of which a test spoils one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from afml.genomics.phenotypes import write_phenotypes
from afml.trial.kits import make_kits
from tests.cli.zygote import Outcome, Zygote
from tests.holdout import fixed_holdout
from tests.simulated import simulate_dosage, write_vcf

PEOPLE, PANEL, SITES = 40, 60, 32


class Institution:
    """Good inputs that a test spoils one of."""

    def __init__(self, root: Path, afml: Zygote) -> None:
        self.root, self._afml = root, afml
        dosage = simulate_dosage(PANEL + PEOPLE, SITES + 8, seed=3)
        self.names = [f"N{i}" for i in range(PEOPLE)]
        self.dosage = dosage[PANEL:]
        write_vcf(root / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
        write_vcf(root / "own.vcf.gz", self.dosage, samples=self.names)
        self.values = np.arange(PEOPLE, dtype=np.int8) % 2
        write_phenotypes(root / "people.tsv", self.names, self.values)
        make_kits(root / "kits", "test", 2)

    def prepare(self, node: int = 1, **changes: object) -> Outcome:
        options = {
            "--kit": self.root / "kits" / f"node-{node}", "--vcf": self.root / "own.vcf.gz",
            "--panel-vcf": self.root / "panel.vcf.gz", "--phenotypes": self.root / "people.tsv",
            "--work": self.root / f"work-{node}", "--sites": SITES,
        } | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}  # fmt: skip
        fixed_holdout(Path(str(options["--work"])))
        return self._afml("prepare", *[part for pair in options.items() for part in pair])


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, lock files apart."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
