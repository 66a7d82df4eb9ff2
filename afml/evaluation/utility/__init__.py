"""What a release is still good for: predicting the phenotype in people who were not trained on.

One fixed pipeline (`pipeline`), the same for raw data, for the release and for every baseline; beside it the best
model of raw data (`selection`), what both come to (`ratio`), and whether probabilities can be believed
(`calibration`). Of many people all outcomes are predicted at once (`together`).
"""

from afml.evaluation.utility.calibration import Calibration, calibration, judged
from afml.evaluation.utility.free import reached_freely
from afml.evaluation.utility.outcome import Outcome, outcomes
from afml.evaluation.utility.pipeline import covariate_auc, origin, raw_auc, score_auc, standardise
from afml.evaluation.utility.ratio import (
    AT_ONCE,
    Utility,
    reconstruction,
    share,
    utilities_and_calibrations,
    utility_and_calibration,
    utility_of,
)
from afml.evaluation.utility.selection import as_read, best_raw_auc, penalties, released_auc
from afml.evaluation.utility.together import judged_each, many, reached_by_all

__all__ = [
    "AT_ONCE",
    "Calibration",
    "Outcome",
    "Utility",
    "as_read",
    "best_raw_auc",
    "calibration",
    "covariate_auc",
    "judged",
    "judged_each",
    "many",
    "origin",
    "outcomes",
    "penalties",
    "raw_auc",
    "reached_by_all",
    "reached_freely",
    "reconstruction",
    "released_auc",
    "score_auc",
    "share",
    "standardise",
    "utilities_and_calibrations",
    "utility_and_calibration",
    "utility_of",
]
