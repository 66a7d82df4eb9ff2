"""Three institutions whose people have two traits, trained in this process: what a package is made from."""

from __future__ import annotations

import runpy
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import afml
from tests.cli.zygote import Outcome, Zygote

MAKE = Path(__file__).parents[2] / "examples" / "reassess" / "make_data.py"
PEOPLE, K = 600, 4


@dataclass(frozen=True)
class Institution:
    """Institution 1, with a trained model and nothing released."""

    root: Path
    afml: Zygote

    @property
    def kit(self) -> Path:
        return self.root / "consortium" / "kits" / "node-1"

    @property
    def work(self) -> Path:
        return self.root / "consortium" / "node-1"

    @property
    def roster(self) -> Path:
        return self.kit / "roster.json"

    def package(self, version: int) -> Path:
        return self.work / "releases" / "two" / str(version)

    def __call__(self, *words: object) -> Outcome:
        """A command of its own, with kit, work folder and run."""
        count = 2 if words[0] == "release" else 1
        run = self.root / "consortium" / "runs" / "two" / "run.json"
        where = ("--kit", self.kit, "--work", self.work, "--run", run)
        return self.afml(*words[:count], *where, *words[count:])


def copy(of: Institution, to: Path) -> Institution:
    """The same in another folder, to be spoiled."""
    return Institution(shutil.copytree(of.root, to), of.afml)


def build(root: Path, zygote: Zygote) -> Institution:
    """Of `PEOPLE` people; gout is mostly inherited, and height goes with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["make_data.py", "--out", str(root / "data"), "--people", str(PEOPLE)])
        runpy.run_path(str(MAKE), run_name="__main__")
    rng = np.random.default_rng(3)
    for table in sorted((root / "data").glob("traits-*.tsv")):
        rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
        heights = [170 + 10 * (int(gout) - 0.4) + 4 * rng.normal() for _, gout, _ in rows]
        lines = [f"{name}\t{gout}\t{height:.4f}" for (name, gout, _), height in zip(rows, heights, strict=True)]
        table.write_text("\n".join(["sample\tgout\tbody height", *lines]) + "\n")
    cohorts = [
        afml.Cohort(
            "genotypes", vcf=root / "data" / f"institution-{number}.vcf.gz", panel_vcf=root / "data" / "panel.vcf.gz",
            phenotypes=root / "data" / f"traits-{number}.tsv", seed=7,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    height = {"name": "body height", "kind": "quantitative", "centre": 170, "spread": 6}
    settings = {
        "risk": {"traits": [{"name": "gout"}, height], "panel_components": 2},
        "game": {"steps": 0},
        "release": {"method": "codebook", "patterns": 5, "min_group_size": K},
    }
    consortium = afml.LocalConsortium(
        cohorts, "masking", settings=settings, folder=root / "consortium", ple=1.0, budget_sigma=2.0, rounds=3,
        further={"game_rounds": 0}, seed=5,
    )  # fmt: skip
    consortium.train(name="two")
    return Institution(root, zygote)
