"""Made-up people of the drill: a panel and an institution's file, unlinked sites and phenotypes by coin toss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from afml.genomics.bgzip import header_lines, staged_vcf
from afml.genomics.phenotypes import write_phenotypes

SITES, PEOPLE, PANEL = 24, 40, 60
_CALLS = ("0/0", "0/1", "1/1")


def write_people(folder: Path, name: str, seed: int, people: int = PEOPLE) -> Path:
    """`NAME.vcf.gz` of so many people, and `NAME.tsv` with their phenotypes; the former."""
    rng = np.random.default_rng(seed)
    frequency = np.random.default_rng(0).uniform(0.2, 0.5, SITES + 8)  # the same at all institutions
    dosage = rng.binomial(2, frequency, (people, len(frequency)))
    names, path = [f"{name}-{person}" for person in range(people)], folder / f"{name}.vcf.gz"
    with staged_vcf(path) as sink:
        sink.write(header_lines(["22"], [], names))
        for site, copies in enumerate(dosage.T):
            fields = ["22", str(1000 + 100 * site), ".", "A", "G", ".", "PASS", ".", "GT", *(_CALLS[n] for n in copies)]
            sink.write(("\t".join(fields) + "\n").encode())
    write_phenotypes(folder / f"{name}.tsv", names, rng.integers(0, 2, people).astype(np.int8))
    return path
