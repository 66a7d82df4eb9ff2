"""What a release discloses without naming a record: membership, a withheld genotype, a phenotype."""

from afml.evaluation.disclosure.beacon import BeaconPresence
from afml.evaluation.disclosure.genotype import GenotypeInference, GenotypeReport, SiteInference, chosen_sites
from afml.evaluation.disclosure.homogeneity import Homogeneity, homogeneities, homogeneity
from afml.evaluation.disclosure.membership import (
    FileFrequencies,
    Judged,
    LikelihoodMembership,
    Membership,
    MembershipAttack,
    PatternMembership,
    infer_membership,
    judge,
    measured,
    membership_suite,
)

__all__ = [
    "BeaconPresence",
    "FileFrequencies",
    "GenotypeInference",
    "GenotypeReport",
    "Homogeneity",
    "Judged",
    "LikelihoodMembership",
    "Membership",
    "MembershipAttack",
    "PatternMembership",
    "SiteInference",
    "chosen_sites",
    "homogeneities",
    "homogeneity",
    "infer_membership",
    "judge",
    "measured",
    "membership_suite",
]
