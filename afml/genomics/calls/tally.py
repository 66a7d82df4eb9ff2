"""What was met while records were read: counts and arrays that add up over parts read in several processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.genomics.calls.states import State, absent_by_reason

RECORDS, FAILED, REPEATED = "records", "records that failed FILTER", "records of a site that others speak of, too"
HALF, DISAGREE = "calls with one missing allele", "calls on which several records of a site disagree"
FT, GQ, DP, BETWEEN = "calls of FT other than PASS", "calls of low GQ", "calls of low DP", "dosages between two calls"
HEMIZYGOUS, HAPLOID = "hemizygous calls", "haploid calls where two alleles are due"
HETEROPLASMIC = "calls of two alleles on MT"
MALE_HET, FEMALE_Y, OF_UNSURE_SEX = (
    "calls of two alleles on a male's X or Y", "calls on a female's Y", "calls on X and Y of people of unsure sex"
)  # fmt: skip

KINDS: dict[str, str] = {
    RECORDS: "read from the file",
    FAILED: "of panel sites, not used",
    REPEATED: "calls agree or are missing; those that pass FILTER win",
    HALF: "missing: one allele does not say what the pair is",
    DISAGREE: "missing",
    FT: "missing",
    GQ: "missing",
    DP: "missing",
    BETWEEN: "missing",
    HEMIZYGOUS: "taken as two copies of the allele",
    HAPLOID: "missing",
    HETEROPLASMIC: "missing",
    MALE_HET: "missing",
    FEMALE_Y: "missing",
    OF_UNSURE_SEX: "missing: the sex in the table and that of the calls differ",
}
"""What is counted, and what became of it."""


@dataclass
class Tally:
    """What was met, of all sites of a panel and all people of a file.

    Attributes:
        counts: By the names of `KINDS`.
        states: uint8 [S], the best that was said of each site (`State`).
        swapped: bool [S], sites whose calls come from records with REF and ALT exchanged.
        hemizygous: int64 [people], haploid calls on X outside the pseudoautosomal regions.
    """

    counts: Counter[str]
    states: NDArray[np.uint8]
    swapped: NDArray[np.bool_]
    hemizygous: NDArray[np.int64]

    @classmethod
    def empty(cls, sites: int, people: int) -> Tally:
        """Of a file of which nothing was read."""
        return cls(
            Counter(),
            np.zeros(sites, dtype=np.uint8),
            np.zeros(sites, dtype=np.bool_),
            np.zeros(people, dtype=np.int64),
        )

    def __add__(self, other: Tally) -> Tally:
        """Of two parts of a file, which hold the records of different places."""
        return Tally(
            self.counts + other.counts,
            np.maximum(self.states, other.states),
            np.where(other.states > self.states, other.swapped, self.swapped),
            self.hemizygous + other.hemizygous,
        )

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which sites have calls, [S]."""
        return self.states >= State.COVERED_FAILED

    def absent(self) -> dict[str, int]:
        """Sites without calls by why."""
        return absent_by_reason(self.states)
