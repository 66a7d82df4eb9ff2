"""Recovery: how many of a person's genotypes, the masked ones included, follow from the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from afml.evaluation.attacks.base import Float64, Int8, Knowledge
from afml.evaluation.attacks.imputation import ImputationLinkage
from afml.evaluation.attacks.inversion import InversionLinkage
from afml.evaluation.attacks.scoring import blocks
from afml.evaluation.distinct import distinct


class Imputes(Protocol):
    """An attack that works genotypes out of records."""

    name: str

    def impute(self, records: Int8, knowledge: Knowledge) -> Float64:
        """P(true genotype | released record): float64[u, S, 3]."""
        ...


@dataclass(frozen=True)
class Recovery:
    """Genotypes named by somebody who has the record, the public model and the panel, and nothing else of the person.

    Attributes:
        people: People asked about.
        accuracy: Share of all their genotypes named right, by the attack that does best.
        panel_accuracy: The same without the record: the panel's commonest genotype of each site.
        most_of_one: Largest gain for one person, as a difference of shares.
        accuracy_by_attack: Of each attack.
    """

    people: int
    accuracy: float
    panel_accuracy: float
    most_of_one: float
    accuracy_by_attack: dict[str, float]


def recover(
    released: Int8, dosage: Int8, knowledge: Knowledge, attacks: Sequence[Imputes] | None = None, *, seed: int = 0
) -> Recovery:
    """Work genotypes out of records.

    Args:
        released: int8[n, S], the records of those asked about.
        dosage: int8[n, S], their genotypes; missing ones are not asked about.
        knowledge: What is public.
        attacks: By default imputation and inversion.
        seed: Of made-up people.
    """
    patterns, group = distinct(released)
    asked = dosage >= 0
    number = np.maximum(asked.sum(axis=1), 1)
    commonest = knowledge.frequencies.argmax(axis=1).astype(np.int8)
    without = ((dosage == commonest) & asked).sum(axis=1) / number
    found: dict[str, Float64] = {}
    for attack in (ImputationLinkage(), InversionLinkage(seed=seed)) if attacks is None else attacks:
        named = np.empty(patterns.shape, dtype=np.int8)
        for part in blocks(len(patterns), 16 * patterns.shape[1]):
            named[part] = attack.impute(patterns[part], knowledge).argmax(axis=2)
        found[attack.name] = ((dosage == named[group]) & asked).sum(axis=1) / number
    best = max(found.values(), key=lambda shares: float(shares.mean()))
    return Recovery(
        people=len(released),
        accuracy=float(best.mean()),
        panel_accuracy=float(without.mean()),
        most_of_one=float((best - without).max()),
        accuracy_by_attack={name: float(shares.mean()) for name, shares in found.items()},
    )
