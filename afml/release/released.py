"""A plan applied: the records of one file in groups, or of anybody alone.

People are looked at some at a time, and a release is held as what each pattern shows and who has which pattern: memory
does not grow with people times sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.release.choices import Choices, joined
from afml.release.grouping import Blocks, entropy_bits, grouped, nested
from afml.release.plan import ReleasePlan

#: People whose records are in memory at a time, at most, and most of their genotypes.
_PEOPLE_AT_ONCE, _GENOTYPES_AT_ONCE = 512, 16 << 20


@dataclass(frozen=True)
class Released:
    """One released file.

    Attributes:
        shown: What each pattern of the plan shows; masked is 0 or -1 by the plan's fill, [J, sites].
        patterns: Pattern index of each person in the file, [people].
        rows: Who they are: rows of the institution's people, ascending, [people]; some are left out of a nested file.
        group_sizes: People per pattern of the plan, [J]; 0 where unused, else at least k.
        method: The plan's method.
        retained_fraction: Share of all called non-major genotypes that is still shown; nothing is of who is left out.
        entropy_bits: Entropy of the pattern of a random person, bits.
    """

    shown: NDArray[np.int8]
    patterns: NDArray[np.int64]
    rows: NDArray[np.int64]
    group_sizes: NDArray[np.int64]
    method: str
    retained_fraction: float
    entropy_bits: float

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.int8]:
        """Released records of some people of the file, [rows, sites]."""
        return self.shown[self.patterns[rows]]

    @property
    def dosage(self) -> NDArray[np.int8]:
        """Released records, made anew at each look, [people of the file, sites]."""
        return self[:]

    @property
    def min_group_size(self) -> int:
        """Size of the smallest group in the file."""
        return int(self.group_sizes[self.group_sizes > 0].min())

    @property
    def patterns_used(self) -> int:
        """Patterns that occur in the file."""
        return int(np.count_nonzero(self.group_sizes))


def parts_of(people: int, sites: int) -> Iterator[slice]:
    """Rows of a file that are looked at together.

    They depend on these numbers alone: sums over sites may differ in their last bits with the number of rows, and
    everybody who applies a plan to the same people must get the same release.
    """
    step = max(1, min(_PEOPLE_AT_ONCE, _GENOTYPES_AT_ONCE // max(1, sites)))
    for start in range(0, people, step):
        yield slice(start, min(start + step, people))


def apply_plan(plan: ReleasePlan, dosage: NDArray[np.int8]) -> Released:
    """Mask the people of one file.

    Args:
        plan: The plan.
        dosage: Everybody in the file, [people, sites].

    Raises:
        ReleaseError: Fewer people than the minimum group size.
    """
    return apply_to_parts(plan, (dosage[rows] for rows in parts_of(*dosage.shape)))


def apply_to_parts(plan: ReleasePlan, parts: Iterable[NDArray[np.int8]]) -> Released:
    """`apply_plan` for people who are read some at a time.

    Args:
        plan: The plan.
        parts: Everybody in the file, in the parts that `parts_of` says, [some people, sites] each.

    Raises:
        ReleaseError: Fewer people than the minimum group size.
    """
    return gathered(plan, (chosen(plan, dosage) for dosage in parts))


def chosen(plan: ReleasePlan, dosage: NDArray[np.int8]) -> tuple[Choices, int]:
    """What some people of a file may show.

    Args:
        plan: The plan.
        dosage: These people, one of the parts that `parts_of` says, [some people, sites].

    Returns:
        What they may choose from; how many non-major genotypes they have.
    """
    choices = plan.codebook.choices(plan.contained(dosage), plan.points(dosage))
    return choices, int(np.count_nonzero(dosage > 0))


def gathered(plan: ReleasePlan, parts: Iterable[tuple[Choices, int]], blocks: Blocks | None = None) -> Released:
    """`apply_to_parts` for what was `chosen` elsewhere, of every part in order.

    Args:
        plan: The plan.
        parts: Everybody, in order.
        blocks: Whom earlier releases left together; by default they are one block.

    Raises:
        ReleaseError: Fewer people than the minimum group size, or none that may be released once more.
    """
    book = plan.codebook
    choices, called = [book.choices(np.zeros((0, book.sites), np.int8), np.zeros((0, 1)))], 0
    for own, genotypes in parts:
        choices.append(own)
        called += genotypes
    everybody = joined(choices)
    taken = grouped(everybody, plan.min_group_size) if blocks is None else nested(everybody, blocks)
    rows = np.flatnonzero(taken >= 0)
    assigned = taken[rows]
    shown = plan.codebook.shown(plan.masked)
    sizes = np.bincount(assigned, minlength=len(shown))
    return Released(
        shown=shown,
        patterns=assigned,
        rows=rows,
        group_sizes=sizes,
        method=plan.method,
        retained_fraction=int((shown > 0).sum(axis=1) @ sizes) / max(1, called),
        entropy_bits=entropy_bits(assigned),
    )


def mask_alone(plan: ReleasePlan, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the plan would release of each person apart from any file, before groups are merged.

    It is public, so it is what an attacker computes from a candidate's reference profile.

    Args:
        plan: The plan.
        dosage: Anybody, [people, sites].

    Returns:
        int8 [people, sites].
    """
    assigned = plan.codebook.assign(plan.contained(dosage), plan.points(dosage))
    return plan.codebook.show(assigned, plan.masked)
