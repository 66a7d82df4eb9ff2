"""What a release is still good for: predicting the phenotype in people who were not trained on.

One fixed pipeline (`pipeline`), the same for raw data, for the release and for every baseline; beside it the best
model of raw data (`selection`), what both come to (`ratio`), and whether probabilities can be believed
(`calibration`).
"""

from afml.evaluation.utility.calibration import Calibration, calibration
from afml.evaluation.utility.outcome import Outcome, outcomes
from afml.evaluation.utility.pipeline import covariate_auc, origin, raw_auc, score_auc, standardise
from afml.evaluation.utility.ratio import Utility, reconstruction, share, utility_of
from afml.evaluation.utility.selection import best_raw_auc, released_auc

__all__ = [
    "Calibration",
    "Outcome",
    "Utility",
    "best_raw_auc",
    "calibration",
    "covariate_auc",
    "origin",
    "outcomes",
    "raw_auc",
    "reconstruction",
    "released_auc",
    "score_auc",
    "share",
    "standardise",
    "utility_of",
]
