"""Train the masking task for one trait at the three institutions of `make_data.py`, all in this process.

python train.py gout --data data --consortium consortium

Whoever is named in `data/withdrawn.txt` is left out. The run is called like the trait: `consortium/runs/gout/run.json`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import afml


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trait")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--consortium", type=Path, required=True)
    given = parser.parse_args()
    gone = given.data / "withdrawn.txt"
    cohorts = [
        afml.Cohort(
            "genotypes", vcf=given.data / f"institution-{number}.vcf.gz", panel_vcf=given.data / "panel.vcf.gz",
            phenotypes=given.data / f"traits-{number}.tsv", without=gone if number == 1 and gone.exists() else None,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    settings = {
        "risk": {"traits": [{"name": given.trait}], "panel_components": 2},
        "game": {"steps": 0},
        "release": {"method": "codebook", "patterns": 4, "min_group_size": 10},
    }
    consortium = afml.LocalConsortium(
        cohorts, "masking", settings=settings, folder=given.consortium, ple=1.0, budget_sigma=2.0, rounds=3,
        further={"game_rounds": 0},
    )  # fmt: skip
    trained = consortium.train(name=given.trait)
    print(f"run {given.trait}: PLE {trained.ple:.2f} sigma of everybody enrolled, over all runs")


if __name__ == "__main__":
    main()
