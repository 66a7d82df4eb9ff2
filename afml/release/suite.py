"""The attacks of the reports, turned on a plan: what `target_rr` is measured by before anything is released.

All but the trained identifier: the others compute in exact arithmetic, so that every node finds the same plan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afml.evaluation.attacks import baseline_suite
from afml.evaluation.attacks.base import Case, Knowledge, reference_profiles
from afml.evaluation.rr import attack_all
from afml.release.verification import PanelCase

#: Of reference profiles, where the caller knows no better.
GENOTYPE_ERROR = 0.01


def worst_attack(genotype_error: float = GENOTYPE_ERROR) -> Callable[[PanelCase], float]:
    """Re-identification rate of the worst attack that needs no training, as reports measure it on a release.

    The attacker has genotyped every candidate again, with errors and missing calls at this rate, and knows the public
    panel and the public release function.
    """

    def rr(case: PanelCase) -> float:
        knowledge = Knowledge(case.panel, case.mask, case.fill, genotype_error, reference_missing=genotype_error)
        references = reference_profiles(
            case.dosage, knowledge.frequencies, error=genotype_error, missing=genotype_error,
            rng=np.random.default_rng(0xEF),
        )  # fmt: skip
        attacked = Case(case.released, references, np.arange(len(case.dosage)), knowledge)
        return attack_all(attacked, baseline_suite()).rr

    return rr
