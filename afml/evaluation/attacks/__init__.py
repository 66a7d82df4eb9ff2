"""Linkage attacks on a release, behind one interface.

An attack sees the released records, reference profiles of the candidates, the public panel and the public
release function; it never sees a private genotype. Its success is the probability, per record, that its
best guess is right. Those of `KNOWING` know what a release tells beside the records, too. A new one is a module with a
class that is an `AttackKind`, and one line in `ATTACKS`.
"""

from afml.core.registry import Registry
from afml.evaluation.attacks.base import Attack, AttackKind, Case, Knowledge, ReleaseFunction, reference_profiles

__all__ = [
    "ATTACKS",
    "KNOWING",
    "Attack",
    "AttackKind",
    "Case",
    "Knowledge",
    "ReleaseFunction",
    "baseline_suite",
    "full_suite",
    "reference_profiles",
]

ATTACKS: Registry[AttackKind] = Registry(
    "attack",
    {
        "likelihood": "afml.evaluation.attacks.likelihood:LikelihoodLinkage",
        "masker-aware": "afml.evaluation.attacks.masker_aware:MaskerAwareLinkage",
        "imputation": "afml.evaluation.attacks.imputation:ImputationLinkage",
        "kinship": "afml.evaluation.attacks.kinship:KinshipLinkage",
        "hidden Markov": "afml.evaluation.attacks.markov:HiddenMarkovLinkage",
        "inversion": "afml.evaluation.attacks.inversion:InversionLinkage",
        "trained identifier": "afml.evaluation.attacks.identifier:TrainedIdentifier",
    },
)


KNOWING: Registry[AttackKind] = Registry(
    "attack of somebody who knows more than genotypes",
    {"known traits": "afml.evaluation.attacks.known_traits:KnownTraitsLinkage"},
)
"""Attacks on releases that tell more than records: run where there is what they know."""


def full_suite(seed: int = 0) -> tuple[Attack, ...]:
    """Every attack, those that are trained on the release included."""
    return tuple(ATTACKS.get(name).seeded(seed) for name in ATTACKS.names())


def baseline_suite(seed: int = 0) -> tuple[Attack, ...]:
    """The attacks that every baseline faces."""
    every = (ATTACKS.get(name) for name in ATTACKS.names())
    return tuple(kind.seeded(seed) for kind in every if kind.baseline)
