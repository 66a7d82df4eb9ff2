"""Finding the sites of a panel among the alleles of a record, and which allele to count there."""

from __future__ import annotations

from collections.abc import Sequence

from afml.genomics.sites import SiteKey, SitePanel, is_sequence, trimmed

_PALINDROMES = ({"A", "T"}, {"C", "G"})


class SiteMatcher:
    """Looks records up in a site panel by (contig, position, REF, ALT).

    Three cases are handled. A multi-allelic record meets one panel site per ALT. A record whose REF and
    ALT are exchanged against the panel (another reference) meets it too, and the count is then of the
    record's REF. Exchanged A/T and C/G pairs look the same on the opposite strand, so they meet nothing.
    """

    def __init__(self, panel: SitePanel) -> None:
        self._index = panel.index()
        # Trimming moves a position right by at most the length of REF, so a record is passed over on its
        # position alone only when it is a plain SNP.
        self._places = {(chrom, pos) for chrom, pos, _, _ in self._index}

    def sites(self, chrom: str, pos: int, alleles: Sequence[str]) -> list[tuple[int, int]]:
        """The panel sites of one record.

        Args:
            chrom: Canonical contig name.
            pos: 1-based position of the record.
            alleles: REF, then every ALT, upper case.

        Returns:
            (site number, allele number whose copies are those of the panel's ALT) pairs.
        """
        if all(len(allele) == 1 for allele in alleles) and (chrom, pos) not in self._places:
            return []
        found: list[tuple[int, int]] = []
        ref = alleles[0]
        for number, alt in enumerate(alleles[1:], start=1):
            if not (is_sequence(ref) and is_sequence(alt)):
                continue
            at, short_ref, short_alt = trimmed(pos, ref, alt)
            site = self._index.get((chrom, at, short_ref, short_alt))
            if site is not None:
                found.append((site, number))
                continue
            exchanged: SiteKey = (chrom, at, short_alt, short_ref)
            site = self._index.get(exchanged)
            if site is not None and {short_ref, short_alt} not in _PALINDROMES:
                found.append((site, 0))
        return found
