"""Linkage attacks on a release, behind one interface.

An attack sees the released records, reference profiles of the candidates, the public panel and the public
release function; it never sees a private genotype. Its success is the probability, per record, that its
best guess is right.
"""

from afml.evaluation.attacks.base import Attack, Case, Knowledge, ReleaseFunction, reference_profiles
from afml.evaluation.attacks.identifier import TrainedIdentifier
from afml.evaluation.attacks.imputation import ImputationLinkage
from afml.evaluation.attacks.kinship import KinshipLinkage
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage

__all__ = [
    "Attack",
    "Case",
    "ImputationLinkage",
    "KinshipLinkage",
    "Knowledge",
    "LikelihoodLinkage",
    "MaskerAwareLinkage",
    "ReleaseFunction",
    "TrainedIdentifier",
    "baseline_suite",
    "full_suite",
    "reference_profiles",
]


def baseline_suite() -> tuple[Attack, ...]:
    """The attacks that need no training."""
    return (LikelihoodLinkage(), MaskerAwareLinkage(), ImputationLinkage(), KinshipLinkage())


def full_suite(seed: int = 0) -> tuple[Attack, ...]:
    """Every attack, the freshly trained identifier included."""
    return (*baseline_suite(), TrainedIdentifier(seed=seed))
