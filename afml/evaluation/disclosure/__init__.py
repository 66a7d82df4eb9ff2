"""What a release discloses without naming a record: membership, a withheld genotype, a phenotype."""

from afml.evaluation.disclosure.genotype import GenotypeInference, GenotypeReport, SiteInference, chosen_sites
from afml.evaluation.disclosure.homogeneity import Homogeneity, homogeneities, homogeneity
from afml.evaluation.disclosure.membership import (
    FileFrequencies,
    LikelihoodMembership,
    Membership,
    MembershipAttack,
    PatternMembership,
    infer_membership,
    membership_suite,
)

__all__ = [
    "FileFrequencies",
    "GenotypeInference",
    "GenotypeReport",
    "Homogeneity",
    "LikelihoodMembership",
    "Membership",
    "MembershipAttack",
    "PatternMembership",
    "SiteInference",
    "chosen_sites",
    "homogeneities",
    "homogeneity",
    "infer_membership",
    "membership_suite",
]
