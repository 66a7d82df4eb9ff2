"""Performance regressed on mask configuration (ordinary least squares), over the operating points of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import statsmodels.api as sm

from afml.study.record import RunRecord

TERMS = (
    "log2 patterns", "log10 group size", "network method", "log10 causal sites", "PLE, sigma", "noise local"
)  # fmt: skip
RESPONSES = ("utility ratio", "log10 RR")


def fit(records: Sequence[RunRecord], response: str) -> Any:
    """OLS of a response over every (run, operating point); standard errors are clustered by run.

    Points of one run share its model, its phenotype and its noise; clustering counts them as one draw each.
    Terms that do not vary over the runs at hand are left out.
    """
    rows, answers, cluster = [], [], []
    for index, record in enumerate(records):
        settings = record.settings
        for point in record.operating_points:
            rows.append(
                (
                    np.log2(point.patterns), np.log10(point.min_group_size), point.method == "network",
                    np.log10(settings.causal), settings.ple, settings.noise == "local",
                )
            )  # fmt: skip
            answers.append(point.utility_ratio if response == "utility ratio" else np.log10(max(point.rr, 1e-6)))
            cluster.append(index)
    design = np.asarray(rows, dtype=np.float64)
    varies = np.ptp(design, axis=0) > 0
    names = ["constant", *(term for term, kept in zip(TERMS, varies, strict=True) if kept)]
    model = sm.OLS(np.asarray(answers), sm.add_constant(design[:, varies], has_constant="add"))
    model.exog_names[:] = names
    model.data.ynames = response
    if len(set(cluster)) < 2:
        return model.fit()
    return model.fit(cov_type="cluster", cov_kwds={"groups": np.asarray(cluster)})


def describe(records: Sequence[RunRecord]) -> dict[str, Any] | None:
    """Coefficients with 95 % intervals and R^2 of both responses, as JSON; None where there are too few runs."""
    if sum(len(record.operating_points) for record in records) <= len(TERMS) + 1:
        return None
    told: dict[str, Any] = {}
    for response in RESPONSES:
        found = fit(records, response)
        bounds = np.asarray(found.conf_int())
        told[response] = {
            "observations": int(found.nobs),
            "r_squared": float(found.rsquared),
            "terms": {
                name: {
                    "coefficient": float(found.params[k]),
                    "ci95": [_finite(bounds[k, 0]), _finite(bounds[k, 1])],
                    "p": _finite(found.pvalues[k]),
                }
                for k, name in enumerate(found.model.exog_names)
            },
        }
    return told


def table(records: Sequence[RunRecord]) -> str:
    """The tables that statsmodels prints, for both responses."""
    return "\n\n".join(str(fit(records, response).summary()) for response in RESPONSES)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
