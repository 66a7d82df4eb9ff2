"""Small simulated genomes for tests: numpy only, no real genotype, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from afml.genomics.bgzip import header_lines, staged_vcf
from afml.genomics.sites import SitePanel

CSQ_FIELDS = "Allele|Consequence|IMPACT|SYMBOL|SIFT|PolyPhen"
BASES = "ACGT"


def simulate_dosage(people: int, sites: int, seed: int, populations: int = 3) -> NDArray[np.int8]:
    """Minor-allele dosage with population structure and linkage: int8 [people, sites] in {0, 1, 2}.

    Frequencies per population follow Balding and Nichols (1995) at F_ST = 0.1; each person's two
    haplotypes are mosaics of 40 founder haplotypes of the own population (Li, Stephens 2003), switching
    at 5 % of the sites. Every site varies and has a minor-allele frequency of at most 0.5.
    """
    rng = np.random.default_rng(seed)
    founders, switch, fst = 40, 0.05, 0.1
    ancestral = rng.uniform(0.1, 0.5, sites)
    spread = (1 - fst) / fst
    frequency = rng.beta(ancestral * spread, (1 - ancestral) * spread, (populations, sites))
    haplotypes = rng.random((populations, founders, sites)) < frequency[:, None, :]
    population = rng.integers(populations, size=people)
    dosage = np.zeros((people, sites), dtype=np.int8)
    for _ in range(2):
        jump = rng.random((people, sites)) < switch
        jump[:, 0] = True
        source = rng.integers(founders, size=(people, sites))
        last = np.maximum.accumulate(np.where(jump, np.arange(sites), 0), axis=1)
        source = np.take_along_axis(source, last, axis=1)
        dosage += haplotypes[population[:, None], source, np.arange(sites)].astype(np.int8)
    constant = dosage.min(axis=0) == dosage.max(axis=0)
    dosage[0, constant] = (dosage[0, constant] + 1) % 3
    common = dosage.mean(axis=0) > 1
    dosage[:, common] = 2 - dosage[:, common]
    return dosage


def simulate_panel(dosage: NDArray[np.int8], seed: int = 0, chrom: str = "22") -> SitePanel:
    """A site panel whose columns are those of `dosage`: random alleles and annotations, MAF from the data."""
    rng = np.random.default_rng(seed)
    sites = dosage.shape[1]
    ref = rng.integers(4, size=sites)
    alt = (ref + rng.integers(1, 4, size=sites)) % 4
    maf = dosage.mean(axis=0) / 2
    harm = rng.random((sites, 3)) * (rng.random((sites, 1)) < 0.3)
    return SitePanel(
        chrom=[chrom] * sites,
        pos=1000 + 100 * np.arange(sites, dtype=np.int64),
        ref=[BASES[base] for base in ref],
        alt=[BASES[base] for base in alt],
        minor_is_alt=rng.random(sites) < 0.6,
        maf=maf,
        annotations=np.column_stack([2 * maf, harm]).astype(np.float32),
    )


def simulate_csq(sites: int, seed: int, alt: Sequence[str]) -> list[str | None]:
    """A CSQ value per site in the order `CSQ_FIELDS`: missense with scores, synonymous, or None."""
    rng = np.random.default_rng(seed)
    values: list[str | None] = []
    for site in range(sites):
        kind = rng.integers(3)
        sift, polyphen = rng.random(2).round(3)
        if kind == 0:
            sift_word = "deleterious" if sift <= 0.05 else "tolerated"
            polyphen_word = (
                "probably_damaging" if polyphen > 0.908 else "possibly_damaging" if polyphen > 0.446 else "benign"
            )
            values.append(
                f"{alt[site]}|missense_variant|MODERATE|GENE|{sift_word}({sift:g})|{polyphen_word}({polyphen:g})"
            )
        else:
            values.append(f"{alt[site]}|synonymous_variant|LOW|GENE||" if kind == 1 else None)
    return values


def write_vcf(
    path: Path,
    alt_copies: NDArray[np.int8],
    *,
    panel: SitePanel | None = None,
    samples: Sequence[str] | None = None,
    chrom: str | Sequence[str] | None = None,
    csq: Sequence[str | None] | None = None,
    csq_key: str = "CSQ",
    csq_fields: str = CSQ_FIELDS,
    order: Sequence[int] | None = None,
    keep: Sequence[int] | None = None,
) -> list[str]:
    """Write a bgzipped, indexed VCF.

    Args:
        path: The `.vcf.gz`.
        alt_copies: int8 [people, sites] in {0, 1, 2, -1}, copies of ALT; -1 is written `./.`.
        panel: Positions and alleles; by default 22:1000, 22:1100, ... A>G.
        samples: Column names, by default S0, S1, ...
        chrom: Contig spelling, one or one per site; by default the panel's.
        csq: Annotation per site, None for none.
        csq_key: INFO key of the annotations.
        csq_fields: Their declared field order.
        order: People to write, as rows of `alt_copies`.
        keep: Sites to write, by default all.

    Returns:
        The column names written.
    """
    people, sites = alt_copies.shape
    names = list(samples) if samples is not None else [f"S{person}" for person in range(people)]
    rows = list(order) if order is not None else list(range(people))
    contigs = list(panel.chrom) if panel and chrom is None else [chrom or "22"] * sites
    if chrom is not None and not isinstance(chrom, str):
        contigs = list(chrom)
    info = f'##INFO=<ID={csq_key},Number=.,Type=String,Description="Annotations. Format: {csq_fields}">'
    genotype = {0: "0/0", 1: "0/1", 2: "1/1", -1: "./."}
    written = [names[row] for row in rows]
    with staged_vcf(path) as sink:
        sink.write(header_lines(list(dict.fromkeys(map(str, contigs))), [info] if csq else [], written))
        for site in keep if keep is not None else range(sites):
            pos, ref, alt = 1000 + 100 * site, "A", "G"
            if panel:
                pos, ref, alt = int(panel.pos[site]), panel.ref[site], panel.alt[site]
            value = csq[site] if csq else None
            fields = [str(contigs[site]), str(pos), ".", ref, alt, ".", "PASS"]
            fields += [f"{csq_key}={value}" if value else ".", "GT"]
            fields += [genotype[int(copies)] for copies in alt_copies[rows, site]]
            sink.write(("\t".join(fields) + "\n").encode())
    return written


def write_records(path: Path, records: Sequence[str], samples: Sequence[str], header: Sequence[str] = ()) -> None:
    """Write a bgzipped VCF of hand-written records (fields separated by spaces), in any order, unindexed."""
    rows = [record.split() for record in records]
    contigs = list(dict.fromkeys(row[0] for row in rows))
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(header_lines(contigs, list(header), samples))
        for row in rows:
            sink.write(("\t".join(row) + "\n").encode())
