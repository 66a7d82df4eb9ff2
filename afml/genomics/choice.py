"""Choosing the sites of a consortium: the most common ones of its public panel.

Frequencies come from the public panel VCF only: over its complete calls, or, where it holds no people, from
an INFO field of it (a release of gnomAD, say). In the second case the panel's people are drawn (`drawn`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afml.core.errors import InputError
from afml.core.progress import Task
from afml.genomics.annotations import Annotator, Harm
from afml.genomics.contigs import genome_order
from afml.genomics.filters import read_exclusions, require_overlap_in_names
from afml.genomics.reader import Record, VariantFile, count_allele
from afml.genomics.sites import SiteKey, SitePanel, is_sequence, trimmed

MAX_MISSING = 0.05
"""Largest fraction of panel people whose call at a site may be missing."""

DRAWN_PEOPLE = 500
"""People drawn where the panel VCF holds none, unless asked otherwise."""

AF_FIELD = "AF"
"""INFO field of its allele frequencies, one per ALT, unless asked otherwise."""


@dataclass(frozen=True)
class _Candidate:
    """A site that passed the filters."""

    key: SiteKey
    maf: float
    minor_is_alt: bool
    harm: Harm


def build_site_panel(
    vcf: Path,
    *,
    sites: int,
    min_maf: float = 0.01,
    exclude: Sequence[Path] = (),
    af_field: str | None = None,
    drawn_people: int | None = None,
    progress: Task | None = None,
) -> SitePanel:
    """Choose the most common sites of the public panel.

    Filters, in this order: alleles spelled out in A, C, G, T; first of its kind (a repeated site is
    kept once); not in an excluded region; at most 5 % missing calls; MAF at least `min_maf`. Of what
    is left, the `sites` with the highest MAF, ties to the earlier position; fewer if fewer are left.

    In a file without people the frequencies are those of `af_field`, and "at most 5 % missing calls" is
    replaced by "has one number in [0, 1] for this ALT".

    Args:
        vcf: The public panel, bgzipped VCF or BCF, with genotypes or with frequencies alone.
        sites: How many sites to keep.
        min_maf: Smallest minor-allele frequency in the panel.
        exclude: BED files of regions to leave out.
        af_field: INFO field of the frequencies in a file without people, by default `AF_FIELD`.
        drawn_people: People to draw where the file holds none, by default `DRAWN_PEOPLE`; at least 2.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable file, a BED file of other contigs, `af_field` or `drawn_people` for a file that
            holds people, or no site left (with the counts).
    """
    if sites < 1:
        raise InputError(f"cannot choose {sites} sites", where="sites", cure="ask for at least 1")
    if drawn_people is not None and drawn_people < 2:
        raise InputError(f"cannot draw a panel of {drawn_people}", where="drawn people", cure="ask for at least 2")
    exclusions = read_exclusions(exclude)
    seen: set[SiteKey] = set()
    candidates: list[_Candidate] = []
    floor = 0.0
    considered = 0
    with VariantFile(vcf, need_samples=False) as variants:
        drawn, field = not variants.samples, af_field or AF_FIELD
        if af_field is not None and not drawn:
            raise InputError(
                f"holds people: their genotypes give the frequencies, not INFO/{field}",
                where=vcf,
                cure="leave the frequency field out",
            )
        if drawn_people is not None and not drawn:
            raise InputError(
                "holds people: none are drawn beside them",
                where=vcf,
                cure="leave the number of drawn people out",
            )
        not_spelled, repeated, excluded, rare = (
            "not a SNP or indel", "repeated", "in an excluded region", f"MAF below {min_maf:g}"
        )  # fmt: skip
        unusable = f"without one INFO/{field} in [0, 1] per ALT" if drawn else "over 5 % missing"
        removed = dict.fromkeys((not_spelled, repeated, excluded, unusable, rare), 0)
        annotator = Annotator(variants.info_description)
        # Filters are per ALT; the frequencies of a record are decoded once, and only if an ALT needs them.
        for number, record in enumerate(variants, start=1):
            if progress and number % 1000 == 0:
                progress.advance(1000)
            frequencies: list[float | None] | None = None
            for allele in range(1, len(record.alleles)):
                considered += 1
                if not (is_sequence(record.alleles[0]) and is_sequence(record.alleles[allele])):
                    removed[not_spelled] += 1
                    continue
                pos, ref, alt = trimmed(record.pos, record.alleles[0], record.alleles[allele])
                key = (record.chrom, pos, ref, alt)
                if key in seen:
                    removed[repeated] += 1
                    continue
                seen.add(key)
                if any(regions.overlaps(record.chrom, pos, len(ref)) for _, regions in exclusions):
                    removed[excluded] += 1
                    continue
                if frequencies is None:
                    frequencies = record.stated(field) if drawn else _counted(record)
                frequency = frequencies[allele - 1]
                if frequency is None:
                    removed[unusable] += 1
                    continue
                maf = min(frequency, 1 - frequency)
                if maf < min_maf:
                    removed[rare] += 1
                    continue
                if maf < floor:
                    continue
                candidates.append(_Candidate(key, maf, frequency <= 0.5, annotator.harm(record, allele)))
                if len(candidates) >= 4 * sites + 1000:
                    candidates = _most_common(candidates, sites)
                    floor = candidates[-1].maf
        require_overlap_in_names(exclusions, variants.contigs, vcf)
    if not candidates:
        counts = ", ".join(f"{count} {reason}" for reason, count in removed.items() if count)
        raise InputError(
            f"no site is left of {considered} ({counts or 'the file has no variant'})",
            where=vcf,
            cure=_cure(drawn and removed[unusable] == max(removed.values()) > 0),
        )
    chosen = sorted(_most_common(candidates, sites), key=_genome_order)
    return SitePanel(
        chrom=[site.key[0] for site in chosen],
        pos=np.asarray([site.key[1] for site in chosen], dtype=np.int64),
        ref=[site.key[2] for site in chosen],
        alt=[site.key[3] for site in chosen],
        minor_is_alt=np.asarray([site.minor_is_alt for site in chosen], dtype=np.bool_),
        maf=np.asarray([site.maf for site in chosen], dtype=np.float64),
        annotations=np.asarray(
            [(2 * site.maf, site.harm.sift, site.harm.polyphen, site.harm.impact) for site in chosen],
            dtype=np.float32,
        ),
        drawn_people=(drawn_people or DRAWN_PEOPLE) if drawn else 0,
    )


def _cure(no_frequencies: bool) -> str:
    if no_frequencies:
        return "name the INFO field of its frequencies, or give a panel with genotypes"
    return "loosen the filter that removed most"


def _genome_order(site: _Candidate) -> tuple[tuple[int, str], int, str, str]:
    chrom, pos, ref, alt = site.key
    return genome_order(chrom), pos, ref, alt


def _most_common(candidates: list[_Candidate], sites: int) -> list[_Candidate]:
    return sorted(candidates, key=lambda site: (-site.maf, _genome_order(site)))[:sites]


def _counted(record: Record) -> list[float | None]:
    """Frequency of every ALT over complete calls, None where too many are missing."""
    calls = record.calls()
    found: list[float | None] = []
    for allele in range(1, len(record.alleles)):
        dosage = count_allele(calls, allele)
        complete = dosage >= 0
        people = int(complete.sum())
        usable = people > 0 and people >= (1 - MAX_MISSING) * len(calls)
        found.append(int(dosage[complete].sum()) / (2 * people) if usable else None)
    return found
