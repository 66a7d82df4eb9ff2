"""What it costs that traits are told beside the records: the attacker who knows them, apart from those who do not."""

from __future__ import annotations

import numpy as np

from afml.evaluation.attacks import KNOWING
from afml.evaluation.attacks.base import Case
from afml.evaluation.report import KnownTraits
from afml.evaluation.rr import ReIdentification, interval


def known_traits(case: Case, linked: ReIdentification) -> KnownTraits | None:
    """What knowing the released traits is worth; None where none is told.

    Args:
        case: The whole release under attack, every record of somebody among the candidates.
        linked: What all attacks reached on it, or on a sample of its records.
    """
    if case.traits is None:
        return None
    (name,) = KNOWING.names()
    alike = np.bincount(case.traits)
    _, pattern = case.patterns
    others = {attack: rr for attack, rr in linked.by_attack.items() if attack not in KNOWING}
    worst = max(others, key=lambda attack: others[attack])
    return KnownTraits(
        rr=linked.by_attack[name],
        rr_ci95=interval(linked.success[name]),
        chance=float((1 / alike[case.traits[linked.people]]).mean()),
        combinations=int((alike > 0).sum()),
        groups=len(np.unique(np.stack([pattern, case.traits[case.truth]], axis=1), axis=0)),
        rr_by_genotypes=others[worst],
        rr_by_genotypes_ci95=interval(linked.success[worst]),
    )
