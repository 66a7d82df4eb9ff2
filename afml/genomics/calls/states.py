"""What is known of a site of the panel after its institution's records were read, and what calls are counted for."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class State(IntEnum):
    """The best that the records said of one site; a larger number replaces a smaller one.

    From `COVERED_FAILED` on, the site has calls; below, it is absent for the reason that its value stands for.
    """

    NOT_SEEN = 0
    OTHER_ALLELES = 1
    OTHER_REFERENCE = 2
    OTHER_STRAND = 3
    PART_OF_MNP = 4
    OTHERWISE_ALIGNED = 5
    SWAPPED_PALINDROME = 6
    UNUSABLE_DOSAGES = 7
    NO_GENOTYPES = 8
    FAILED_FILTER = 9
    STRAND_BY_FREQUENCY = 10
    BESIDE_FAILED = 11
    STRAND_UNKNOWN = 12
    COVERED_FAILED = 13
    COVERED = 14
    FLIPPED_FAILED = 15
    FLIPPED = 16
    MATCHED_FAILED = 17
    MATCHED = 18

    @property
    def called(self) -> bool:
        """Whether a site of this state has calls."""
        return self >= State.COVERED_FAILED


WHY_ABSENT = {
    State.NOT_SEEN: "not in the file",
    State.OTHER_ALLELES: "other alleles at this place",
    State.OTHER_REFERENCE: "another reference base",
    State.OTHER_STRAND: "alleles of the other strand",
    State.PART_OF_MNP: "part of an MNP (--fasta)",
    State.OTHERWISE_ALIGNED: "an indel aligned otherwise (--fasta)",
    State.SWAPPED_PALINDROME: "A/T or C/G with REF and ALT exchanged",
    State.UNUSABLE_DOSAGES: "no genotypes, and dosages that are none of two copies",
    State.NO_GENOTYPES: "dosages and no genotypes (--dosages round)",
    State.FAILED_FILTER: "failed FILTER (--filters any)",
    State.STRAND_BY_FREQUENCY: "A/T or C/G whose frequency says the other strand",
    State.BESIDE_FAILED: "reference records beside a record of it that failed FILTER (--filters any)",
    State.STRAND_UNKNOWN: "A/T or C/G beside sites of the other strand, of a frequency that does not say its own",
}
"""Why a site is absent, in words, in the order in which a better reason replaces a worse one."""


def absent_by_state(states: NDArray[np.uint8]) -> dict[State, int]:
    """How many sites are absent for each reason that there was.

    Args:
        states: [S], values of `State`.
    """
    found = {state: int((states == state).sum()) for state in WHY_ABSENT}
    return {state: number for state, number in found.items() if number}
