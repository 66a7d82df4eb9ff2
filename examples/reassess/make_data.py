"""Simulated genotypes of three institutions and of public people, with two simulated traits. Nobody's data.

python make_data.py --out data

People are mosaics of a few founders, so that neighbouring sites are linked. Writes `panel.vcf.gz`, for each institution
`institution-K.vcf.gz` and `traits-K.tsv` (gout, asthma; 15 sites each), and what becomes public later:
`public-later.vcf.gz` (as many people again as the panel has), and `children.vcf.gz` of five people of institution 1,
whom `children.tsv` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pysam

FOUNDERS, SWITCH, CAUSAL, HERITABILITY, CHILDREN = 60, 0.05, 15, 0.8, 5
TRAITS = ("gout", "asthma")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sites", type=int, default=96)
    parser.add_argument("--people", type=int, default=400, help="of each institution")
    parser.add_argument("--panel", type=int, default=200, help="public people, at first")
    parser.add_argument("--institutions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    founders = rng.random((FOUNDERS, given.sites)) < rng.uniform(0.1, 0.5, given.sites)

    def people(count: int) -> np.ndarray:
        """Haplotypes, [people, 2, sites]."""
        jump = rng.random((count, 2, given.sites)) < SWITCH
        jump[:, :, 0] = True
        last = np.maximum.accumulate(np.where(jump, np.arange(given.sites), 0), axis=2)
        source = np.take_along_axis(rng.integers(FOUNDERS, size=jump.shape), last, axis=2)
        return founders[source, np.arange(given.sites)]

    given.out.mkdir(parents=True, exist_ok=True)
    write(given.out / "panel.vcf.gz", people(given.panel), [f"P{n}" for n in range(given.panel)])
    write(given.out / "public-later.vcf.gz", people(given.panel), [f"L{n}" for n in range(given.panel)])
    effects = np.zeros((len(TRAITS), given.sites))
    for row in effects:
        row[rng.choice(given.sites, CAUSAL, replace=False)] = rng.normal(size=CAUSAL)
    for number in range(1, given.institutions + 1):
        haplotypes, names = people(given.people), [f"I{number}-{n}" for n in range(given.people)]
        write(given.out / f"institution-{number}.vcf.gz", haplotypes, names)
        score = haplotypes.sum(axis=1) @ effects.T  # [people, traits]
        score = (score - score.mean(axis=0)) / score.std(axis=0)
        noise = rng.normal(size=score.shape)
        has = np.sqrt(HERITABILITY) * score + np.sqrt(1 - HERITABILITY) * noise > 0.3
        lines = ["\t".join(("sample", *TRAITS))]
        lines += ["\t".join((name, *map(str, row.astype(int)))) for name, row in zip(names, has, strict=True)]
        (given.out / f"traits-{number}.tsv").write_text("\n".join(lines) + "\n")
        if number == 1:
            _children(given.out, haplotypes[:CHILDREN], people(CHILDREN), rng)


def _children(out: Path, parents: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> None:
    """Each has one haplotype of a person of institution 1, recombined, and one of somebody else."""
    from_parent = np.logical_xor.accumulate(rng.random((len(parents), parents.shape[2])) < 0.02, axis=1)
    passed = np.where(from_parent, parents[:, 0], parents[:, 1])
    names = [f"C{n}" for n in range(len(parents))]
    write(out / "children.vcf.gz", np.stack([passed, others[:, 0]], axis=1), names)
    lines = ["sample\tperson\tdegree", *(f"{name}\tI1-{n}\t1" for n, name in enumerate(names))]
    (out / "children.tsv").write_text("\n".join(lines) + "\n")


def write(path: Path, haplotypes: np.ndarray, names: list[str]) -> None:
    """A VCF of [people, 2, sites], all on one contig, 100,000 bases apart, bgzipped."""
    head = ["##fileformat=VCFv4.3", "##contig=<ID=1>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = [*head, "\t".join((*fixed, *names))]
    for site in range(haplotypes.shape[2]):
        calls = (f"{int(a)}|{int(b)}" for a, b in haplotypes[:, :, site])
        lines.append("\t".join(("1", str(100_000 * (site + 1)), ".", "A", "G", ".", "PASS", ".", "GT", *calls)))
    with pysam.BGZFile(str(path), "w") as file:
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
