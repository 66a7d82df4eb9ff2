"""Other ways to release the same people, at matched utility and at matched retention.

A lower re-identification rate means nothing by itself: masking everything has the lowest. Each baseline is
a family of levels from little to much information. *Matched on utility*: the first level whose held-out AUC
reaches that of the release under test; where no level does, the level of the highest AUC. *Matched on
retention*: the level that shows as large a share of genotypes as the release under test.

With several phenotypes in one release, what a level is worth is what it is worth for the phenotype that it serves
worst: the lowest ratio of AUC to raw AUC, both counted from what covariates reach alone where there are any. Every
family is judged at its own worst, as the release is.
"""

from afml.evaluation.baselines.binned import BINNED, BINNED_COMPONENT, binned_score
from afml.evaluation.baselines.comparands import Comparands
from afml.evaluation.baselines.compare import Comparison, UnderTest, compare
from afml.evaluation.baselines.family import Family, Level, as_level
from afml.evaluation.baselines.grouped import GROUPED_RANDOM, GROUPED_STATIC, grouped_families
from afml.evaluation.baselines.masked import RANDOM, RESPONSE, STATIC, random_masking, response_levels, static_sites

__all__ = [
    "BINNED",
    "BINNED_COMPONENT",
    "GROUPED_RANDOM",
    "GROUPED_STATIC",
    "RANDOM",
    "RESPONSE",
    "STATIC",
    "Comparands",
    "Comparison",
    "Family",
    "Level",
    "UnderTest",
    "as_level",
    "binned_score",
    "compare",
    "grouped_families",
    "random_masking",
    "response_levels",
    "static_sites",
]
