"""Which sites of a panel a record speaks of, and what each of its alleles means there.

The meaning of an allele at a site is 1 where it is the panel's ALT, 0 where it is known to be something else, and -1
where the record leaves that open. A record is one of these for a site:

* *matched*: one or more of its ALTs, in shortest form, are the site's ALT; its other alleles are not, but for an MNP
  that holds it beside another change, which is open. With a reference MNPs are split, as `bcftools norm --atomize`
  does: one that holds the site's ALT is the site's ALT.
* *swapped*: single bases with REF and ALT exchanged (another reference): its REF is the site's ALT. Not for indels,
  where exchanged alleles are another change, and not for A/T and C/G, which look so from the other strand as well.
* *flipped*: single bases, no A/T or C/G, each of which is the other strand's of the site's: read as matched or swapped
  after turning all of its bases.
* *covering*: a record without ALT, or with `<NON_REF>` or `<*>`, says of everybody whether they differ from the
  reference at every place from POS to END. Reference there is not the site's ALT; `<NON_REF>` itself is open, and
  so is an MNP that holds the site's ALT.
* anything else says nothing of the site; why is told (`State`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afml.genomics.calls.align import Aligner, is_rotation
from afml.genomics.calls.states import State
from afml.genomics.contigs import genome_order
from afml.genomics.sites import SiteKey, SitePanel, is_sequence, trimmed

UNSTATED = frozenset({"<NON_REF>", "<*>", "<X>", "X"})
"""ALTs that stand for "any other allele": of gVCF (GATK, bcftools)."""

_COMPLEMENT = str.maketrans("ACGT", "TGCA")
NEARBY = 300
"""Bases within which an indel of the same letters may be the panel's, aligned otherwise (a repeat of that length)."""


class Match(NamedTuple):
    """What a record says of one site of the panel.

    Attributes:
        site: Its number.
        state: `State.MATCHED`, `State.FLIPPED` or `State.COVERED`, or why the record says nothing of it.
        meaning: Of REF and every ALT: 1, 0 or -1; empty where the record says nothing of the site.
        swapped: Whether REF is the panel's ALT.
    """

    site: int
    state: State
    meaning: tuple[int, ...] = ()
    swapped: bool = False


class Matcher:
    """Looks records up in a site panel.

    Args:
        panel: The site panel.
        aligner: The reference, where there is one: indels are then compared as `bcftools norm` writes them.
    """

    def __init__(self, panel: SitePanel, aligner: Aligner | None = None) -> None:
        self._aligner = aligner
        self._key: list[SiteKey] = [panel.key(site) for site in range(len(panel))]
        self._at: dict[tuple[str, int], list[int]] = {}
        self._indels: dict[tuple[str, int], list[int]] = {}
        self._normal: dict[SiteKey, int] = {}
        for site, (chrom, pos, ref, alt) in enumerate(self._key):
            self._at.setdefault((chrom, pos), []).append(site)
            if len(ref) != len(alt):
                self._indels.setdefault((chrom, len(alt) - len(ref)), []).append(site)
            if aligner:
                self._normal.setdefault(aligner.normal(chrom, pos, ref, alt), site)
        for sites in self._indels.values():
            sites.sort(key=self._position)
        order = sorted(range(len(panel)), key=lambda site: (genome_order(self._key[site][0]), self._key[site][1]))
        self._order: dict[str, tuple[list[int], list[int]]] = {}  # contig -> (positions ascending, their sites)
        for site in order:
            places, sites = self._order.setdefault(self._key[site][0], ([], []))
            places.append(self._key[site][1])
            sites.append(site)
        self._plain = {  # what nearly every record is
            key: Match(site, State.MATCHED, (0, 1))
            for site, key in enumerate(self._key)
            if len(key[2]) == len(key[3]) == 1 and len(self._at[key[:2]]) == 1
        }

    def matches(self, chrom: str, pos: int, alleles: Sequence[str], end: int) -> list[Match]:
        """What one record says of the panel's sites.

        Args:
            chrom: Canonical contig name.
            pos: 1-based position of the record.
            alleles: REF, then every ALT, upper case.
            end: Last base that it covers: of REF, or of a gVCF block.
        """
        if len(alleles) == 2:
            plain = self._plain.get((chrom, pos, alleles[0], alleles[1]))
            if plain is not None:
                return [plain]
        places, sites = self._order.get(chrom, ([], []))
        last_of_ref = pos + len(alleles[0]) - 1
        within = sites[bisect_left(places, pos) : bisect_right(places, max(end, last_of_ref))]
        ours: dict[int, list[int]] = {}
        long = len(alleles[0]) > 1 or any(len(alt) > 1 for alt in alleles[1:])
        if within or long:
            ours = self._spelled(chrom, pos, alleles)
        found = [self._of_site(site, pos, alleles, ours.get(site, [])) for site in within]
        met = set(within)
        for site, numbers in ours.items():
            if site not in met:  # only by alignment: it begins elsewhere
                found.append(self._of_site(site, pos, alleles, numbers))
        if long and self._aligner is None:
            found += self._nearby(chrom, pos, alleles, ours)
        return found

    def _spelled(self, chrom: str, pos: int, alleles: Sequence[str]) -> dict[int, list[int]]:
        """Site -> numbers of the ALTs that are its ALT."""
        found: dict[int, list[int]] = {}
        if not is_sequence(alleles[0]):
            return found
        for number, alt in enumerate(alleles[1:], start=1):
            if not is_sequence(alt) or alt == alleles[0]:
                continue
            short = trimmed(pos, alleles[0], alt)
            sites = self._at.get((chrom, short[0]), ())
            site = next((site for site in sites if self._key[site][2:] == short[1:]), None)
            if site is None and self._aligner is not None and len(short[1]) != len(short[2]):
                site = self._normal.get(self._aligner.normal(chrom, *short))
            if site is not None:
                found.setdefault(site, []).append(number)
        return found

    def _of_site(self, site: int, pos: int, alleles: Sequence[str], ours: list[int]) -> Match:
        """What a record says of a site; `ours` are the ALTs that are the site's."""
        _, at, ref, alt = self._key[site]
        offset = at - pos
        place = slice(offset, offset + len(ref)) if len(ref) == len(alt) and offset >= 0 else None
        if ours:
            meaning = [self._held(alt, one, alleles[0], place) for one in alleles]
            for number in ours:
                meaning[number] = 1
            return Match(site, State.MATCHED, (0, *meaning[1:]))
        spelled = alleles[0][offset : offset + len(ref)]  # of the record's own REF; short, or empty inside a block
        single = len(ref) == len(alt) == 1
        exchanged = single and spelled == alt
        palindrome = single and alt == ref.translate(_COMPLEMENT)
        alts = alleles[1:]
        if exchanged and any(trimmed(pos, alleles[0], one) == (at, alt, ref) for one in alts if is_sequence(one)):
            if palindrome:
                return Match(site, State.SWAPPED_PALINDROME)
            return Match(site, State.MATCHED, _carried(alleles, offset, alt), swapped=True)
        covering = not alts or any(one in UNSTATED for one in alts)
        if covering and _agrees(ref, spelled):
            held = [-1 if one in UNSTATED else self._held(alt, one, alleles[0], place) for one in alts]
            return Match(site, State.COVERED, (0, *held))
        if covering and exchanged and not palindrome:
            return Match(site, State.COVERED, _carried(alleles, offset, alt), swapped=True)
        if single and not palindrome and len(alleles[0]) == 1 and not covering:
            turned = [one.translate(_COMPLEMENT) if len(one) == 1 else "" for one in alleles]
            if turned[0] in (ref, alt) and {ref, alt} <= set(turned):
                own = tuple(int(one == alt) for one in turned)
                return Match(site, State.FLIPPED, own, swapped=turned[0] == alt)
        held = [self._held(alt, one, alleles[0], place) for one in alts]
        if 1 in held and _agrees(ref, spelled):
            return Match(site, State.MATCHED, (0, *held))
        return Match(site, self._why_not(site, alleles, offset))

    def _held(self, alt: str, one: str, ref: str, place: slice | None) -> int:
        """What an allele that is not a site's ALT alone means there: 1 or -1 where it has its bases beside a change."""
        if place is None or one[place] != alt:
            return 0
        if len(one) == len(ref):
            return -1 if self._aligner is None else 1  # an MNP, which is split where indels are aligned, too
        return -1 if place.start == 0 else 0

    def _why_not(self, site: int, alleles: Sequence[str], offset: int) -> State:
        _, _, ref, alt = self._key[site]
        spelled = alleles[0][offset : offset + len(ref)]
        alts = [one for one in alleles[1:] if is_sequence(one)]
        if not _agrees(ref, spelled):
            bases = {one[offset : offset + 1] for one in alts if len(one) == len(alleles[0])} | {spelled}
            other = {ref.translate(_COMPLEMENT), alt.translate(_COMPLEMENT)}
            single = len(ref) == len(alt) == 1
            if single and spelled != alt and other <= bases:
                return State.OTHER_STRAND
            return State.OTHER_ALLELES if single and spelled == alt else State.OTHER_REFERENCE
        within = [one[offset : offset + len(alt)] for one in alts if len(one) == len(alleles[0]) > 1]
        return State.PART_OF_MNP if len(ref) == len(alt) and alt in within else State.OTHER_ALLELES

    def _position(self, site: int) -> int:
        return self._key[site][1]

    def _nearby(self, chrom: str, pos: int, alleles: Sequence[str], ours: dict[int, list[int]]) -> list[Match]:
        """Indels of the panel that may be this record's, written at another place of a repeat."""
        found = []
        taken = {number for numbers in ours.values() for number in numbers}
        for number, one in enumerate(alleles[1:], start=1):
            if number in taken or not (is_sequence(alleles[0]) and is_sequence(one)):
                continue
            at, ref, alt = trimmed(pos, alleles[0], one)
            sites = self._indels.get((chrom, len(alt) - len(ref)), [])
            near = [bisect_left(sites, bound, key=self._position) for bound in (at - NEARBY, at + NEARBY + 1)]
            for site in sites[near[0] : near[1]]:
                if is_rotation((ref, alt), self._key[site][2:]):
                    found.append(Match(site, State.OTHERWISE_ALIGNED))
        return found


def _agrees(ref: str, spelled: str) -> bool:
    """Whether the bases that a record spells of a site's REF are its first ones; N may be any."""
    return all(one in (base, "N") for base, one in zip(ref, spelled, strict=False))


def _carried(alleles: Sequence[str], offset: int, base: str) -> tuple[int, ...]:
    """Whether each allele has a base at an offset into REF: 1, 0, or -1 where nobody can say."""
    meaning = []
    for one in alleles:
        if one == "*":
            meaning.append(0)
        elif is_sequence(one) and (len(one) == len(alleles[0]) or offset == 0):
            meaning.append(int(one[offset] == base))
        else:
            meaning.append(-1)
    return tuple(meaning)


def table_of(meaning: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """A table to look allele numbers up in; -1 (missing) and -2 (absent in a haploid call) keep theirs."""
    return np.array([*meaning, -2, -1], dtype=np.int8)
