"""Five institutions' genotypes out of a public VCF: `python make_data.py --vcf VCF --people TSV --out data`.

Real genotypes of the 1000 Genomes Project; the trait is simulated (a liability of ten causal sites, heritability
0.5). 500 people are the public panel, which chooses the sites and centres them.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.liability import simulate_phenotype
from afml.genomics.partition import Parts, split
from afml.genomics.sources.record import MISSING

INSTITUTIONS, PANEL_PEOPLE, SITES = 5, 500, 256
CAUSAL, HERITABILITY, SEED = 10, 0.5, 1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vcf", type=Path, required=True, help="genotypes of public people, bgzipped")
    parser.add_argument("--people", type=Path, required=True, help="TSV: sample, population")
    parser.add_argument("--out", type=Path, required=True, help="folder for institution-1.csv, genotypes-1.npy, ...")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.out) as folder:
        scratch = Path(folder)
        parts = split(given.vcf, given.people, scratch, Parts(INSTITUTIONS, PANEL_PEOPLE), seed=SEED)
        panel = build_site_panel(parts.panel, SiteChoice(SITES))
        public = build_store(parts.panel, panel, scratch / "panel.zarr").dosage()
        stores = [build_store(vcf, panel, scratch / f"{number}.zarr") for number, vcf in enumerate(parts.nodes)]
        names, dosages = [store.samples for store in stores], [store.dosage() for store in stores]
    mean = np.ma.masked_equal(public, MISSING).mean(axis=0).filled(0.0)  # twice the frequency, [sites]
    trait, _ = simulate_phenotype(np.concatenate(dosages), causal=CAUSAL, heritability=HERITABILITY, seed=SEED)
    traits = np.split(trait, np.cumsum([len(own) for own in names])[:-1])
    for number, (own, dosage, had) in enumerate(zip(names, dosages, traits, strict=True), start=1):
        missing = dosage == MISSING
        centred = np.where(missing, 0.0, dosage - mean).astype(np.float32)  # a missing call says nothing
        np.save(given.out / f"genotypes-{number}.npy", centred[:, None, :])
        with (given.out / f"institution-{number}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["person", "trait"])
            writer.writerows(zip(own, had.tolist(), strict=True))
        print(f"institution {number}: {len(own)} people, {int(missing.sum())} missing calls")


if __name__ == "__main__":
    main()
