"""Sites of a panel's file that no filter removed, and which of them are the most common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from afml.genomics.annotations import Harm
from afml.genomics.contigs import genome_order
from afml.genomics.sites import SiteKey


@dataclass(frozen=True)
class Candidate:
    """A site that passed the filters.

    Attributes:
        key: Where and what it is.
        maf: Frequency of the rarer allele in the panel.
        minor_is_alt: Whether that is ALT.
        harm: What annotations say of it.
    """

    key: SiteKey
    maf: float
    minor_is_alt: bool
    harm: Harm


def most_common(candidates: Iterable[Candidate], sites: int) -> list[Candidate]:
    """So many of the most common sites, the most common first; ties to the earlier position."""
    return sorted(candidates, key=lambda site: (-site.maf, _genome_order(site)))[:sites]


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sites in genome order."""
    return sorted(candidates, key=_genome_order)


def _genome_order(site: Candidate) -> tuple[tuple[int, str], int, str, str]:
    chrom, pos, ref, alt = site.key
    return genome_order(chrom), pos, ref, alt
