#!/usr/bin/env python
"""Simulate biobanks: a public panel and institutions of 100,000 people each, common sites of 22 chromosomes.

A command of its own, like `simulate_cohorts.py` beside it, whose demography, annotations and reason it shares.

    python tools/simulate_biobank.py --out DIR --people 100000 --nodes 5 --panel 2000 --sites 2000 --seed 1

Every chromosome is one stretch of 100 kb (`--bases`), simulated on its own by a process of its own, with recombination
1e-8 and mutation 2.35e-8 per base and generation. Of its biallelic sites with MAF >= 5 % a random subset is written.
Few sites are worth decoding of millions of mutations, so carriers are counted in the trees first.

Output: panel.vcf.gz (with .tbi, annotated), node-1.bed, node-1.bim, node-1.fam, ... (PLINK 1: 25 bytes a site for 100
people) and, last, people.tsv (sample, population, part): where it stands, everything is there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import msprime
import numpy as np
import pysam
from numpy.typing import NDArray
from simulate_cohorts import POPULATIONS, annotation, out_of_africa, vcf_header

CHROMOSOMES = 22
FIRST_BASE = 20_000_000
MIN_MAF = 0.05
BED_MAGIC = b"\x6c\x1b\x01"
#: Copies of ALT -> the two bits of PLINK 1, whose first allele is ALT.
BED_CODE = np.array([3, 2, 0], dtype=np.uint8)


@dataclass(frozen=True)
class Biobank:
    """What is simulated.

    Attributes:
        sizes: People of each population.
        parts: People of the panel, then of every institution, ascending numbers.
        sites: Of all chromosomes.
        bases: Of a chromosome.
        folder: Where its files are made.
    """

    sizes: tuple[int, ...]
    parts: tuple[NDArray[np.int64], ...]
    sites: int
    bases: int
    folder: Path

    def wanted(self, chromosome: int) -> int:
        """Sites of a chromosome: as many of each, the first ones one more."""
        return self.sites // CHROMOSOMES + (chromosome <= self.sites % CHROMOSOMES)

    def calls(self, part: int, chromosome: int) -> Path:
        """Scratch file: the rows of a .bed, or, of the panel, copies of ALT, int8 [sites, 2 * people]."""
        return self.folder / f".{part}-{chromosome}.calls"


#: (chromosome, position, REF, ALT).
Site = tuple[int, int, str, str]


def chromosome(biobank: Biobank, number: int, seed: int) -> list[Site]:
    """Simulate one chromosome and write every part's calls into scratch files; its sites."""
    tree_sequence = msprime.sim_ancestry(
        samples=dict(zip(POPULATIONS, biobank.sizes, strict=True)),
        demography=out_of_africa(),
        sequence_length=biobank.bases,
        recombination_rate=1e-8,
        random_seed=seed,
    )
    mutated = msprime.sim_mutations(tree_sequence, rate=2.35e-8, random_seed=seed + 1)
    haplotypes = mutated.num_samples
    common = []
    for tree in mutated.trees():
        for site in tree.sites():
            if len(site.mutations) == 1:
                frequency = tree.num_samples(site.mutations[0].node) / haplotypes
                if min(frequency, 1 - frequency) >= MIN_MAF:
                    common.append(site.id)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(common, size=min(biobank.wanted(number), len(common)), replace=False))
    others = np.setdiff1d(np.arange(mutated.num_sites), chosen)
    sites: list[Site] = []
    files = [biobank.calls(part, number).open("wb") for part in range(len(biobank.parts))]
    for variant in mutated.delete_sites(others).variants():
        ref, alt = (allele for allele in variant.alleles if allele is not None)
        sites.append((number, FIRST_BASE + int(variant.site.position) + 1, ref, alt))
        pairs = variant.genotypes.astype(np.int8).reshape(-1, 2)
        copies = pairs.sum(axis=1, dtype=np.int8)
        files[0].write(pairs[biobank.parts[0]].tobytes())
        for file, people in zip(files[1:], biobank.parts[1:], strict=True):
            file.write(bed_row(copies[people]))
    for file in files:
        file.close()
    return sites


def bed_row(copies: NDArray[np.int8]) -> bytes:
    """One site of a .bed: four people to a byte, the first in the lowest bits."""
    codes = np.zeros(-(-len(copies) // 4) * 4, dtype=np.uint8)
    codes[: len(copies)] = BED_CODE[copies]
    fours = codes.reshape(-1, 4)
    row: NDArray[np.uint8] = fours[:, 0] | fours[:, 1] << 2 | fours[:, 2] << 4 | fours[:, 3] << 6
    return row.tobytes()


def write_institution(biobank: Biobank, part: int, sites: list[Site], names: NDArray[np.str_]) -> None:
    """node-N.bed, .bim and .fam of what the chromosomes left."""
    stem = biobank.folder / f"node-{part}"
    with stem.with_suffix(".bed").open("wb") as out:
        out.write(BED_MAGIC)
        for number in range(1, CHROMOSOMES + 1):
            scratch = biobank.calls(part, number)
            out.write(scratch.read_bytes())
            scratch.unlink()
    rows = [f"{chrom}\t{chrom}:{pos}:{ref}:{alt}\t0\t{pos}\t{alt}\t{ref}\n" for chrom, pos, ref, alt in sites]
    stem.with_suffix(".bim").write_text("".join(rows), encoding="utf-8")
    stem.with_suffix(".fam").write_text("".join(f"0\t{name}\t0\t0\t0\t-9\n" for name in names), encoding="utf-8")


def write_panel(biobank: Biobank, sites: list[Site], names: NDArray[np.str_], rng: np.random.Generator) -> None:
    """panel.vcf.gz with made-up annotations, and its index."""
    text = np.asarray([b"\t0|0", b"\t0|1", b"\t1|0", b"\t1|1"], dtype="S4")
    path, scratch = biobank.folder / "panel.vcf.gz", [biobank.calls(0, number) for number in range(1, CHROMOSOMES + 1)]
    calls = np.concatenate([np.fromfile(one, dtype=np.int8) for one in scratch]).reshape(len(sites), -1, 2)
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(vcf_header(names))
        for (chrom, pos, ref, alt), pairs in zip(sites, calls, strict=True):
            info = annotation(alt, f"GENE{chrom}-{pos // 10_000}", rng)
            file.write(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\tCSQ={info}\tGT".encode())
            file.write(text[2 * pairs[:, 0] + pairs[:, 1]].tobytes() + b"\n")
    pysam.tabix_index(str(path), preset="vcf", force=True)
    for one in scratch:
        one.unlink()


def simulate(biobank: Biobank, seed: int, processes: int) -> None:
    """Write every file into the folder, people.tsv last."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(1, 2**31 - 2, size=CHROMOSOMES).tolist()
    people = sum(biobank.sizes)
    names = np.asarray([f"SIM{person:07d}" for person in range(people)])
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(chromosome, biobank), range(1, CHROMOSOMES + 1), seeds))
    sites = [site for one in found for site in one]
    write_panel(biobank, sites, names[biobank.parts[0]], rng)
    for part in range(1, len(biobank.parts)):
        write_institution(biobank, part, sites, names[biobank.parts[part]])
    part_of = np.empty(people, dtype=np.int64)
    for number, part_people in enumerate(biobank.parts):
        part_of[part_people] = number
    population = np.repeat(POPULATIONS, biobank.sizes)
    with (biobank.folder / "people.tsv").open("w", encoding="utf-8") as out:
        out.write("sample\tpop\tpart\n")
        for name, pop, number in zip(names, population, part_of.tolist(), strict=True):
            out.write(f"{name}\t{pop}\t{f'node-{number}' if number else 'panel'}\n")
    print(f"simulated {people} people at {len(biobank.parts) - 1} nodes and a panel, {len(sites)} sites")


def deal(sizes: tuple[int, ...], panel: int, nodes: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """People of the panel and of every node: all equally likely to be in the panel, the rest by population in turns."""
    people = sum(sizes)
    order = np.random.default_rng([seed, people]).permutation(people)
    population = np.repeat(np.arange(len(sizes)), sizes)
    rest = order[panel:][np.argsort(population[order[panel:]], kind="stable")]
    return (np.sort(order[:panel]), *(np.sort(rest[node::nodes]) for node in range(nodes)))


def main(arguments: list[str] | None = None) -> int:
    """Parse options, simulate beside the target, move every finished file into place."""
    parser = argparse.ArgumentParser(description="Simulate a public panel and institutions of biobank size.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--people", type=int, default=100_000, help="people of each institution")
    parser.add_argument("--nodes", type=int, default=5, help="institutions")
    parser.add_argument("--panel", type=int, default=2000, help="people in the public panel")
    parser.add_argument("--sites", type=int, default=2000, help="common sites, if the chromosomes have so many")
    parser.add_argument("--bases", type=int, default=100_000, help="of each of the 22 chromosomes")
    parser.add_argument("--processes", type=int, default=2, help="chromosomes at a time, about 1.5 GB each")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    if min(given.people, given.nodes, given.panel, given.processes) < 1 or given.sites < CHROMOSOMES:
        parser.error("needs a person for every part, a node, a panel, a process, and a site for every chromosome")
    people = given.people * given.nodes + given.panel
    sizes = tuple(people // 3 + (index < people % 3) for index in range(3))
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".simulate.", dir=given.out) as staged:
        parts = deal(sizes, given.panel, given.nodes, given.seed)
        simulate(Biobank(sizes, parts, given.sites, given.bases, Path(staged)), given.seed, given.processes)
        for file in sorted(Path(staged).iterdir(), key=lambda path: path.name == "people.tsv"):
            os.replace(file, given.out / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
