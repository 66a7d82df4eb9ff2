"""A baseline is a family of levels, from little to much information."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from afml.evaluation.attacks import Attack, ReleaseFunction
from afml.evaluation.attacks.base import Int8
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.rr import attack_all


@dataclass(frozen=True, eq=False)
class Level:
    """One operating point of a family.

    Attributes:
        label: For people.
        auc: Held-out AUC of the fixed pipeline; of several phenotypes, `Comparands.worth`.
        rr: Computes the re-identification rate under the given attacks.
    """

    label: str
    auc: float
    rr: Callable[[Sequence[Attack]], float]


@dataclass(frozen=True, eq=False)
class Family:
    """A family of levels, from little to much information."""

    name: str
    levels: tuple[Level, ...]

    def reaching(self, auc: float) -> Level:
        """The first level with at least this AUC, else the (first) level of the highest AUC."""
        for level in self.levels:
            if level.auc >= auc:
                return level
        return max(self.levels, key=lambda level: level.auc)


def as_level(
    comparands: Comparands, label: str, released: Int8, mask: ReleaseFunction, auc: float | None = None
) -> Level:
    """A level made of records of `comparands.dosage` and the public function that made them.

    Only records that are attacked stay in memory, and no mask of a candidate does.
    """
    case = comparands.case(released, mask)

    def rr(attacks: Sequence[Attack]) -> float:
        now, worst = replace(case), 0.0
        for attack in attacks:
            worst = max(worst, attack_all(now, [attack], most=comparands.most).rr)
            if worst >= 1:  # no other attack finds more than everybody
                break
        return worst

    return Level(label, comparands.worth(comparands.aucs(released)) if auc is None else auc, rr)
