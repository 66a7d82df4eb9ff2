#!/usr/bin/env python
"""Simulate the cohorts of a demonstration: a public panel and several institutions, as VCF files.

A command of its own that AFML runs as a separate process and never imports: it uses msprime (Baumdicker
et al. 2022), which is under the GNU General Public License, version 3 or later.

    python tools/simulate_cohorts.py --out DIR --people 2500 --nodes 5 --panel 500 --sites 2000 --seed 1

Demography: the three-population out-of-Africa model of Gutenkunst et al. (2009, PLoS Genetics 5:e1000695,
table 1: YRI, CEU, CHB; 25 years per generation). Segments of 50 kb, far apart over 22 chromosomes, are
simulated on their own, with recombination 1e-8 and mutation 2.35e-8 per base and generation. Of every
segment a random subset of the biallelic sites with MAF >= 1 % is written, so that neighbours are linked
and segments are not. Annotations are made up, in the form that VEP writes.

Output: panel.vcf.gz, node-1.vcf.gz, ... (bgzipped, with .tbi) and people.tsv (sample, population, part).

--twice N reads N people of the institutions again, 1 % of their calls wrong, and puts this second record into the file
of the next institution, under a name of its own: twice.tsv (sample, again, part) says which.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msprime
import numpy as np
import pysam

POPULATIONS = ("YRI", "CEU", "CHB")
GENERATION_YEARS = 25
SEGMENT_BASES = 50_000
SITES_PER_SEGMENT = 60
MIN_MAF = 0.01
READING_ERROR = 0.01
CALLS = np.asarray([b"\t0|0", b"\t0|1", b"\t1|0", b"\t1|1"], dtype="S4")
OF_DOSAGE = np.asarray([0, 1, 3])  # a place in CALLS
CSQ = (
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Simulated consequence annotations. '
    'Format: Allele|Consequence|IMPACT|SYMBOL|Feature|SIFT|PolyPhen">'
)


def out_of_africa() -> msprime.Demography:
    """The model of Gutenkunst et al. (2009) with its maximum-likelihood parameters."""
    split_time = 21.2e3 / GENERATION_YEARS  # CEU and CHB part
    bottleneck_time = 140e3 / GENERATION_YEARS  # Africa and Eurasia part
    growth_time = 220e3 / GENERATION_YEARS  # the ancestral population grows
    growth = {"CEU": 0.004, "CHB": 0.0055}
    founders = {"CEU": 1000, "CHB": 510}
    demography = msprime.Demography()
    demography.add_population(name="YRI", initial_size=12300)
    for name in ("CEU", "CHB"):
        now = founders[name] * np.exp(growth[name] * split_time)
        demography.add_population(name=name, initial_size=now, growth_rate=growth[name])
    demography.add_population(name="OOA", initial_size=2100)
    demography.add_population(name="AMH", initial_size=12300)
    demography.add_population(name="ANC", initial_size=7300)
    demography.set_symmetric_migration_rate(["YRI", "CEU"], 3e-5)
    demography.set_symmetric_migration_rate(["YRI", "CHB"], 1.9e-5)
    demography.set_symmetric_migration_rate(["CEU", "CHB"], 9.6e-5)
    demography.add_population_split(time=split_time, derived=["CEU", "CHB"], ancestral="OOA")
    demography.add_symmetric_migration_rate_change(time=split_time, populations=["YRI", "OOA"], rate=25e-5)
    demography.add_population_split(time=bottleneck_time, derived=["YRI", "OOA"], ancestral="AMH")
    demography.add_population_split(time=growth_time, derived=["AMH"], ancestral="ANC")
    demography.sort_events()
    return demography


def segment(people: list[int], seed: int) -> Iterator[tuple[int, str, str, np.ndarray]]:
    """(offset, REF, ALT, alleles [2 * people]) of the biallelic sites of one segment with MAF >= 1 %."""
    tree_sequence = msprime.sim_ancestry(
        samples=dict(zip(POPULATIONS, people, strict=True)),
        demography=out_of_africa(),
        sequence_length=SEGMENT_BASES,
        recombination_rate=1e-8,
        random_seed=seed,
    )
    mutated = msprime.sim_mutations(tree_sequence, rate=2.35e-8, random_seed=seed + 1)
    for variant in mutated.variants():
        alleles = [allele for allele in variant.alleles if allele is not None]
        if len(alleles) != 2 or len(variant.site.mutations) != 1:
            continue
        frequency = float(variant.genotypes.mean())
        if min(frequency, 1 - frequency) >= MIN_MAF:
            yield int(variant.site.position), alleles[0], alleles[1], variant.genotypes.copy()


def annotation(alt: str, gene: str, rng: np.random.Generator) -> str:
    """A made-up CSQ value: a third missense with both scores, the others without."""
    kind = rng.random()
    if kind < 0.35:
        sift, polyphen = round(float(rng.beta(0.5, 1.0)), 2), round(float(rng.beta(0.4, 0.8)), 3)
        sift_word = "deleterious" if sift <= 0.05 else "tolerated"
        word = "probably_damaging" if polyphen > 0.908 else "possibly_damaging" if polyphen > 0.446 else "benign"
        return f"{alt}|missense_variant|MODERATE|{gene}|{gene}-1|{sift_word}({sift:g})|{word}({polyphen:g})"
    for limit, term, impact in (
        (0.37, "stop_gained", "HIGH"),
        (0.65, "synonymous_variant", "LOW"),
        (1.01, "intron_variant", "MODIFIER"),
    ):
        if kind < limit:
            return f"{alt}|{term}|{impact}|{gene}|{gene}-1||"
    raise AssertionError


def vcf_header(samples: Iterable[str]) -> bytes:
    """Header of a simulated VCF with these people, its column line included."""
    lines = [
        "##fileformat=VCFv4.3",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        "##source=msprime",
    ]
    lines += [f"##contig=<ID={chromosome}>" for chromosome in range(1, 23)]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">', CSQ]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return ("\n".join([*lines, "\t".join([*columns, *samples])]) + "\n").encode()


class Twice:
    """People who are at two institutions, and their second records.

    Attributes:
        people: Rows of theirs, dealt evenly to the parts of institutions.
        parts: Part -> which of `people` are read again for it.
    """

    def __init__(self, count: int, parts: list[np.ndarray], seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])  # apart: everybody else is the same with and without them
        nodes = len(parts) - 1
        drawn = [self._rng.permutation(part) for part in parts[1:]]
        self.people = np.array([drawn[number % nodes][number // nodes] for number in range(count)], dtype=np.int64)
        self.parts = [np.flatnonzero(np.arange(count) % nodes == (part - 2) % nodes) for part in range(nodes + 1)]
        self.parts[0] = self.parts[0][:0]  # nobody twice in the panel

    def read(self, codes: np.ndarray) -> np.ndarray:
        """The calls of these people at one site, read again; both as places in `CALLS`, `codes` of everybody."""
        own = codes[self.people]
        dosage = own // 2 + own % 2
        other = OF_DOSAGE[(dosage + self._rng.integers(1, 3, len(own))) % 3]
        return np.where(self._rng.random(len(own)) < READING_ERROR, other, own)


def simulate(options: argparse.Namespace, folder: Path) -> None:
    """Write every file into `folder`."""
    people, nodes, panel, sites, seed = options.people, options.nodes, options.panel, options.sites, options.seed
    rng = np.random.default_rng(seed)
    sizes = [people // 3 + (index < people % 3) for index in range(3)]
    population = np.repeat(POPULATIONS, sizes)
    # Everybody is equally likely to be in the panel; the others are dealt out population by population.
    order = rng.permutation(people)
    rest = order[panel:][np.argsort(population[order[panel:]], kind="stable")]
    parts = [np.sort(order[:panel]), *(np.sort(rest[node::nodes]) for node in range(nodes))]
    names = ["panel", *(f"node-{node}" for node in range(1, nodes + 1))]
    samples = np.asarray([f"SIM{person:06d}" for person in range(people)])
    twice = Twice(options.twice, parts, seed)
    again = np.asarray([f"SIM{people + number:06d}" for number in range(options.twice)], dtype=samples.dtype)

    records: list[tuple[int, int, str, str, np.ndarray]] = []
    kept = number = 0
    while kept < sites or number % 22:
        found = list(segment(sizes, int(rng.integers(1, 2**31 - 2))))
        chosen = np.sort(rng.choice(len(found), size=min(SITES_PER_SEGMENT, len(found)), replace=False))
        for index in chosen:
            offset, ref, alt, alleles = found[index]
            pairs = alleles.reshape(people, 2)
            frequency = pairs[parts[0]].mean()
            kept += min(frequency, 1 - frequency) >= MIN_MAF
            records.append((number % 22 + 1, 20_000_000 + 5_000_000 * (number // 22) + offset + 1, ref, alt, pairs))
        number += 1
    records.sort(key=lambda record: record[:2])

    paths = [folder / f"{name}.vcf.gz" for name in names]
    files = [pysam.BGZFile(str(path), "wb") for path in paths]
    for file, part, second in zip(files, parts, twice.parts, strict=True):
        file.write(vcf_header([*samples[part], *again[second]]))
    for chromosome, position, ref, alt, pairs in records:
        gene = f"GENE{chromosome}-{position // 5_000_000}"
        info = annotation(alt, gene, rng)
        fixed = f"{chromosome}\t{position}\t.\t{ref}\t{alt}\t.\tPASS\tCSQ={info}\tGT".encode()
        codes = 2 * pairs[:, 0] + pairs[:, 1]
        read = twice.read(codes)
        for file, part, second in zip(files, parts, twice.parts, strict=True):
            file.write(fixed + CALLS[codes[part]].tobytes() + CALLS[read[second]].tobytes() + b"\n")
    for file, path in zip(files, paths, strict=True):
        file.close()
        pysam.tabix_index(str(path), preset="vcf", force=True)
    where = {int(person): name for name, part in zip(names, parts, strict=True) for person in part}
    rows = [f"{samples[person]}\t{population[person]}\t{where[person]}" for person in range(people)]
    (folder / "people.tsv").write_text("\n".join(["sample\tpop\tpart", *rows]) + "\n", encoding="utf-8")
    if options.twice:
        known = [
            f"{samples[twice.people[number]]}\t{again[number]}\t{name}"
            for name, second in zip(names, twice.parts, strict=True)
            for number in second
        ]
        (folder / "twice.tsv").write_text("\n".join(["sample\tagain\tpart", *known]) + "\n", encoding="utf-8")
    print(
        f"simulated {people} people at {nodes} nodes and a panel, {len(records)} sites "
        f"({kept} with panel MAF >= {MIN_MAF:g})"
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse options, simulate beside the target, move every finished file into place."""
    parser = argparse.ArgumentParser(description="Simulate a public panel and institutions' cohorts as VCF files.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--people", type=int, default=2500, help="people in all, panel included")
    parser.add_argument("--nodes", type=int, default=5, help="institutions")
    parser.add_argument("--panel", type=int, default=500, help="people in the public panel")
    parser.add_argument("--sites", type=int, default=2000, help="least number of sites with panel MAF >= 1 %%")
    parser.add_argument("--twice", type=int, default=0, help="of them, people who are at two institutions")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.nodes < 1 or options.panel < 1 or options.people < options.panel + options.nodes or options.sites < 1:
        parser.error("needs at least one node, a panel, a site, and a person for every node beside the panel")
    if not 0 <= options.twice <= options.people - options.panel or (options.twice and options.nodes < 2):
        parser.error("needs two nodes, and as many people at them, for people who are at two")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".simulate.", dir=options.out) as staged:
        simulate(options, Path(staged))
        for file in sorted(Path(staged).iterdir()):
            os.replace(file, options.out / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
