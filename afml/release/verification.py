"""A plan is attacked on public people before any private record is released by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ReleaseError
from afml.release.plan import ReleasePlan
from afml.release.public import with_mosaics
from afml.release.released import apply_plan, mask_alone

#: Candidates of the attacks that a plan must withstand before it is used.
_VERIFICATION_PEOPLE = 2000


@dataclass(frozen=True)
class PanelCase:
    """A release of public people, for the attack suite to break before any private record is released.

    Attributes:
        dosage: Held-out panel people and mosaics of them, the candidates, [people, sites].
        released: Their released records, in the same order, made in files of the planned size, [people, sites].
        panel: The panel people that the patterns were learned from; the attacker has them too.
        mask: What the plan shows of anybody; public.
        fill: What a masked genotype looks like.
    """

    dosage: NDArray[np.int8]
    released: NDArray[np.int8]
    panel: NDArray[np.int8]
    mask: Callable[[NDArray[np.int8]], NDArray[np.int8]]
    fill: Literal["major", "missing"]


@dataclass(frozen=True)
class Target:
    """What a plan must withstand.

    Attributes:
        rr: Re-identification rate at most, in (0, 1].
        measured: Re-identification rate of the worst attack on a case, in [0, 1].
        people_per_file: People of a released file to come.
    """

    rr: float
    measured: Callable[[PanelCase], float]
    people_per_file: int


def withstanding(
    plan: Callable[[NDArray[np.int8], int], ReleasePlan], panel: NDArray[np.int8], patterns: int, target: Target
) -> ReleasePlan:
    """The plan of as many patterns as withstand the attacks, fewer each time.

    Args:
        plan: (panel people, number of patterns) -> a plan.
        panel: Panel dosages, [people, sites]; attacked plans are learned on one half and applied to the other.
        patterns: To begin with.
        target: What it must withstand.

    Raises:
        ReleaseError: Not even two patterns do.
    """
    verified: list[tuple[int, float]] = []
    while patterns >= 2:
        found = target.measured(panel_case(plan(panel[::2], patterns), panel, target.people_per_file))
        verified.append((patterns, round(found, 6)))
        if found <= target.rr:
            return replace(plan(panel, patterns), verified=tuple(verified))
        patterns = patterns * 4 // 5 if patterns > 2 else 1
    raise ReleaseError(
        f"attacks on held-out panel people reach {100 * verified[-1][1]:.2g} % with two patterns, the target is "
        f"{100 * target.rr:.2g} %",
        cure="raise `afml mask --target-rr`, or release more people together",
    )


def panel_case(plan: ReleasePlan, panel: NDArray[np.int8], file_people: int) -> PanelCase:
    """Release the odd panel people and mosaics of them by a plan that was learned on the even ones."""
    held_out = panel[1::2]
    people = with_mosaics(plan.model, held_out, _VERIFICATION_PEOPLE - len(held_out), "verification")
    files = np.array_split(people, max(1, len(people) // file_people))
    released = np.concatenate([apply_plan(plan, file).dosage for file in files])
    return PanelCase(people, released, panel[::2], lambda dosage: mask_alone(plan, dosage), plan.fill)
