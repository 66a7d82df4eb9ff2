"""What was met while records were read: counts and arrays that add up over parts read in several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from afml.genomics.calls.states import WHY_ABSENT, State, absent_by_state

RECORDS, MATCHED, FAILED, REPEATED = "records", "records_matched", "records_failed", "records_repeated"
HALF, OPEN, DISAGREE = "calls_half", "calls_open", "calls_disagree"
FT, GQ, DP, BETWEEN = "calls_ft", "calls_gq", "calls_dp", "dosages_between"
GQ_ASKED, NO_GQ, DP_ASKED, NO_DP = "calls_gq_asked", "calls_no_gq", "calls_dp_asked", "calls_no_dp"
HEMIZYGOUS, HAPLOID, HETEROPLASMIC = "calls_hemizygous", "calls_haploid", "calls_heteroplasmic"
MALE_HET, FEMALE_Y, OF_UNSURE_SEX = "calls_male_het", "calls_female_y", "calls_unsure_sex"
SWAPPED, FLIPPED, COVERED, ABSENT = "sites_swapped", "sites_flipped", "sites_covered", "sites_absent"

#: Reason -> what a report says of it, in the order in which reports list them. Records come first, then calls and
#: sites. Numbers alone: no reason holds a name, a place or a genotype.
REASONS: dict[str, str] = {
    RECORDS: "records at the panel's places; others are passed over",
    MATCHED: "of these, records that speak of a site of the panel",
    FAILED: "of these, records that failed FILTER",
    REPEATED: "further records of a site that had one: calls that agree stay",
    HALF: "calls with one missing allele, taken as missing",
    OPEN: "calls of an allele that may hold the panel's ALT (an MNP, <NON_REF>), taken as missing",
    DISAGREE: "calls on which several records of a site disagree, taken as missing",
    FT: "calls of FT other than PASS, taken as missing",
    GQ_ASKED: "calls whose GQ was looked at",
    GQ: "of these, calls of too low GQ or without one, taken as missing",
    NO_GQ: "of these, calls without one",
    DP_ASKED: "calls whose DP was looked at",
    DP: "of these, calls of too low DP or without one, taken as missing",
    NO_DP: "of these, calls without one",
    BETWEEN: "dosages between two calls or missing, taken as missing",
    HEMIZYGOUS: "haploid calls on X, Y or MT, counted as two copies",
    HAPLOID: "haploid calls where X and Y pair, taken as missing",
    HETEROPLASMIC: "calls of two alleles on MT, taken as missing",
    MALE_HET: "calls of two alleles on Y or on a male's X, taken as missing",
    FEMALE_Y: "calls on a female's Y, taken as missing",
    OF_UNSURE_SEX: "calls on X and Y of people whose table and calls differ on their sex, taken as missing",
    SWAPPED: "sites whose REF and ALT are exchanged against the panel",
    FLIPPED: "sites whose alleles are those of the other strand, turned",
    COVERED: "sites known from reference records alone",
    ABSENT: "sites of the panel without calls",
    **{f"absent_{state.name.lower()}": f"of these: {why}" for state, why in WHY_ABSENT.items()},
}


@dataclass
class Tally:
    """What was met, of all sites of a panel and all people of a file.

    Attributes:
        counts: Reason, a key of `REASONS`, -> how many, of what is counted while records are read.
        states: uint8 [S], the best that was said of each site (`State`).
        swapped: bool [S], sites whose calls come from records with REF and ALT exchanged.
        failed: bool [S], sites of whose ALT a record failed FILTER.
        hemizygous: int64 [people], haploid calls on X outside the pseudoautosomal regions.
        disputed: Site -> bool [people], on whose calls several records differ.
    """

    counts: Counter[str]
    states: NDArray[np.uint8]
    swapped: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    hemizygous: NDArray[np.int64]
    disputed: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def empty(cls, sites: int, people: int) -> Tally:
        """Of a file of which nothing was read."""
        return cls(
            Counter(),
            np.zeros(sites, dtype=np.uint8),
            np.zeros(sites, dtype=np.bool_),
            np.zeros(sites, dtype=np.bool_),
            np.zeros(people, dtype=np.int64),
        )

    def __add__(self, other: Tally) -> Tally:
        """Of two parts of a file."""
        return Tally(
            self.counts + other.counts,
            np.maximum(self.states, other.states),
            np.where(other.states > self.states, other.swapped, self.swapped),
            self.failed | other.failed,
            self.hemizygous + other.hemizygous,
            {**self.disputed, **other.disputed},
        )

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which sites have calls, [S]."""
        return self.states >= State.COVERED_FAILED

    @property
    def flipped(self) -> NDArray[np.bool_]:
        """Which sites are read from the other strand, [S]."""
        found: NDArray[np.bool_] = (self.states == State.FLIPPED) | (self.states == State.FLIPPED_FAILED)
        return found

    def absent(self) -> dict[str, int]:
        """Sites without calls, by why in words."""
        return {WHY_ABSENT[state]: number for state, number in absent_by_state(self.states).items()}

    def told(self) -> Mapping[str, int]:
        """Everything that was met, in the order of `REASONS`."""
        found = Counter(self.counts)
        found[SWAPPED] = int((self.swapped & self.called).sum())
        found[FLIPPED] = int(self.flipped.sum())
        found[COVERED] = int(((self.states == State.COVERED) | (self.states == State.COVERED_FAILED)).sum())
        found[ABSENT] = int((~self.called).sum())
        for state, number in absent_by_state(self.states).items():
            found[f"absent_{state.name.lower()}"] = number
        return {reason: found[reason] for reason in REASONS if found[reason]}
