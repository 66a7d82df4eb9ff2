"""A plan applied: the records of one file in groups, or of anybody alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.release.grouping import assign_groups, entropy_bits
from afml.release.plan import ReleasePlan


@dataclass(frozen=True)
class Released:
    """One released file.

    Attributes:
        dosage: Released records; masked is 0 or -1 by the plan's fill, [people, sites].
        patterns: Pattern index per person, [people].
        group_sizes: People per pattern of the plan, [J]; 0 where unused, else at least k.
        method: The plan's method.
        retained_fraction: Share of all called non-major genotypes that is still shown.
        entropy_bits: Entropy of the pattern of a random person, bits.
    """

    dosage: NDArray[np.int8]
    patterns: NDArray[np.int64]
    group_sizes: NDArray[np.int64]
    method: str
    retained_fraction: float
    entropy_bits: float

    @property
    def min_group_size(self) -> int:
        """Size of the smallest group in the file."""
        return int(self.group_sizes[self.group_sizes > 0].min())

    @property
    def patterns_used(self) -> int:
        """Patterns that occur in the file."""
        return int(np.count_nonzero(self.group_sizes))


def apply_plan(plan: ReleasePlan, dosage: NDArray[np.int8]) -> Released:
    """Mask the people of one file.

    Args:
        plan: The plan.
        dosage: Everybody in the file, [people, sites].

    Raises:
        ReleaseError: Fewer people than the minimum group size.
    """
    assigned = assign_groups(plan.codebook, plan.contained(dosage), plan.model.risk_score(dosage), plan.min_group_size)
    released = plan.codebook.show(assigned, plan.masked)
    return Released(
        dosage=released,
        patterns=assigned,
        group_sizes=np.bincount(assigned, minlength=len(plan.codebook.patterns)),
        method=plan.method,
        retained_fraction=int((released > 0).sum()) / max(1, int((dosage > 0).sum())),
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
    assigned = plan.codebook.assign(plan.contained(dosage), plan.model.risk_score(dosage))
    return plan.codebook.show(assigned, plan.masked)
