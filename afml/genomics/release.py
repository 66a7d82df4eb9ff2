"""Writing a release: panel sites, GT, pseudonymous columns in permuted order, and nothing else.

What would leak is never written rather than removed: no other FORMAT field (PL, AD, DP, GQ, GP, DS,
phase), no INFO (AC, AF, ... are counts over the cohort), no ID, QUAL or FILTER, no sample name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, InputError
from afml.genomics.bgzip import header_lines, staged_vcf
from afml.genomics.matching import SiteMatcher
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import MISSING
from afml.genomics.sources.vcf import VariantFile
from crypto.public.random import RandomSource, SystemRandom

_HEADER_LINE = re.compile(r"^##afml_[a-z0-9_]+=[^\r\n]*$")
# Genotype text by ALT copies; the last entry is that of `MISSING` = -1. Unphased by construction.
_GENOTYPE = np.asarray([b"\t0/0", b"\t0/1", b"\t1/1", b"\t./."], dtype="S4")


def write_release(
    out: Path,
    panel: SitePanel,
    released: NDArray[np.int8],
    *,
    header: Sequence[str],
) -> list[int]:
    """Write released dosages as a bgzipped, indexed VCF.

    Args:
        out: Path of the VCF (`.vcf.gz`); its index is `out` + `.tbi`.
        panel: The sites, S of them.
        released: int8 [people, S] in {0, 1, 2, -1}, panel-minor dosage; -1 is written as `./.`.
        header: Lines `##afml_<key>=<value>` about the model and its settings. They are public.

    Returns:
        The permutation: column j of the file is row `permutation[j]`. It re-identifies every column and
        never leaves the institution.

    Raises:
        ConfigError: Wrong shape or values, or a header line of another form.
    """
    people, sites = released.shape
    if sites != len(panel):
        raise ConfigError(f"{sites} released sites, but the panel has {len(panel)}", where=out)
    if released.size and not bool(((released >= -1) & (released <= 2)).all()):
        raise ConfigError("released dosages are not all in {0, 1, 2, -1}", where=out)
    for line in header:
        if not _HEADER_LINE.match(line):
            raise ConfigError("header line is not '##afml_<key>=<value>'", where=out, cure="use this form")
    random = SystemRandom()  # never from a seed, not even in a simulation: whoever knew it would name every column
    permutation = np.argsort(random.uint64(people), kind="stable")
    pseudonyms = _pseudonyms(people, random)
    alt_copies = panel.to_minor(released[permutation])  # [people, S]; the mapping is its own inverse
    contigs = list(dict.fromkeys(panel.chrom))
    with staged_vcf(out) as sink:
        sink.write(header_lines(contigs, ["##source=afml", *header], pseudonyms))
        for site in range(len(panel)):
            chrom, pos, ref, alt = panel.key(site)
            sink.write(f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\tGT".encode())
            sink.write(_GENOTYPE[alt_copies[:, site]].tobytes() + b"\n")
    return [int(row) for row in permutation]


def read_release(path: Path, panel: SitePanel) -> NDArray[np.int8]:
    """Read a release back as panel-minor dosage.

    Returns:
        int8 [people, S] in {0, 1, 2, -1}, people in the order of the file's columns.

    Raises:
        InputError: An unreadable file, or one whose sites are not exactly those of the panel.
    """
    matcher = SiteMatcher(panel)
    met = np.zeros(len(panel), dtype=np.bool_)
    foreign = 0
    with VariantFile(path) as variants:
        alt_copies = np.full((len(variants.samples), len(panel)), MISSING, dtype=np.int8)
        for record in variants:
            found = matcher.sites(record.chrom, record.pos, record.alleles)
            foreign += not found
            for site, allele in found:
                alt_copies[:, site] = record.dosage(allele)
                met[site] = True
    absent = int((~met).sum())
    if absent or foreign:
        raise InputError(
            f"release lacks {absent} sites of the panel and holds {foreign} others",
            where=path,
            cure="use the site panel that the release was made with",
        )
    return panel.to_minor(alt_copies)


def _pseudonyms(people: int, source: RandomSource) -> list[str]:
    """Distinct random names; 64 bits, so that two releases do not share one by chance."""
    names: dict[str, None] = {}
    while len(names) < people:
        for word in source.uint64(people - len(names)):
            names[f"P{int(word):016x}"] = None
    return list(names)
