"""Measures out of noised sums, with intervals that hold the noise.

A measure is a smooth function of the sums, so its error is, to first order, its gradient times theirs (the delta
method). Two errors are in every interval (95 %): the noise of the sum, of known standard deviation; and that another
sample of people would have been other people. A measure that noise swamps is None, never a number that looks like one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afml.tasks.evaluation.answers import sigmoid
from afml.tasks.evaluation.exact import Z95, r2_sampling
from afml.tasks.evaluation.settings import EvaluationSettings
from afml.tasks.release.blocks import Estimate

Measure = Callable[[torch.Tensor], torch.Tensor]
"""From sums, [shape of the block], to one number."""
_SWAMPED = 3.0  # a denominator nearer to 0 than so many of its noise's standard deviations divides nothing


def measured(settings: EvaluationSettings, sums: Estimate) -> dict[str, Any]:
    """Every measure of an evaluation, by name.

    Args:
        settings: Of the run.
        sums: What came out of its block.
    """
    by_outcome = {"binary": _binary, "categorical": _categorical, "quantitative": _quantitative}
    found = by_outcome[settings.outcome](settings, sums)
    return {"outcome": settings.outcome, "people": sums.people, "noise_std": figure(sums.std.max()), **found}


def _binary(settings: EvaluationSettings, sums: Estimate) -> dict[str, Any]:
    counts, middles = sums.sum, settings.middles
    case, bin_of = np.indices(counts.shape)
    case = case == 1
    every = np.ones_like(case)
    thresholds = []
    for place, chance in enumerate(sigmoid(settings.edges).tolist(), start=1):
        positive = bin_of >= place
        thresholds.append(
            {
                "probability": figure(chance),
                "true_positive": figure(counts[case & positive].sum()),
                "false_negative": figure(counts[case & ~positive].sum()),
                "false_positive": figure(counts[~case & positive].sum()),
                "true_negative": figure(counts[~case & ~positive].sum()),
            }
            | _share("sensitivity", case & positive, case, sums)
            | _share("specificity", ~case & ~positive, ~case, sums)
            | _share("accuracy", case == positive, every, sums)
        )
    calibration = [
        {"said": figure(said), "people": figure(counts[:, place].sum())}
        | _share("seen", case & (bin_of == place), bin_of == place, sums)
        for place, said in enumerate(middles.tolist())
    ]
    firm = _hold_somebody(case, sums) and _hold_somebody(~case, sums)
    area, _, slope = _first_order(_auc, sums) if firm else (0.0, 0.0, np.zeros_like(counts))
    return {
        **(_stated("auc", area, slope, sums) if firm else _interval("auc", 0.0, 0.0, False)),
        **_share("prevalence", case, every, sums),
        "said_on_average": figure(float(counts.sum(axis=0) @ middles) / float(counts.sum())) if firm else None,
        "thresholds": thresholds,
        "calibration": calibration,
    }


def _auc(counts: torch.Tensor) -> torch.Tensor:
    below = torch.cumsum(counts[0], 0) - counts[0] / 2
    return (counts[1] * below).sum() / (counts[0].sum() * counts[1].sum())


def _categorical(settings: EvaluationSettings, sums: Estimate) -> dict[str, Any]:
    truth, said = np.indices(sums.sum.shape)
    classes = [
        {"class": number, "people": figure(sums.sum[number].sum())}
        | _share("recall", (truth == number) & (said == number), truth == number, sums)
        | _share("precision", (truth == number) & (said == number), said == number, sums)
        for number in range(settings.classes)
    ]
    return {
        **_share("accuracy", truth == said, np.ones_like(truth, np.bool_), sums),
        "confusion": [[figure(cell) for cell in row] for row in sums.sum],
        "classes": classes,
    }


def _quantitative(settings: EvaluationSettings, sums: Estimate) -> dict[str, Any]:
    people, half = sums.people, (settings.high - settings.low) / 2

    def spread(s: torch.Tensor, of: int) -> torch.Tensor:  # variance of u (0) or v (2)
        return s[of + 1] / people - (s[of] / people) ** 2

    def together(s: torch.Tensor) -> torch.Tensor:
        return s[4] / people - s[0] * s[2] / people**2

    def error(s: torch.Tensor) -> torch.Tensor:
        return (s[1] - 2 * s[4] + s[3]) / people

    firm = _stands_out(lambda s: spread(s, 0), sums)
    said = firm and _stands_out(lambda s: spread(s, 2), sums)
    r2 = _first_order(lambda s: 1 - error(s) / spread(s, 0), sums)
    sampling = r2_sampling(r2[0], people)
    return {
        **_interval("r2", r2[0], math.hypot(r2[1], sampling), firm),
        **_noise_only("correlation", lambda s: together(s) / (spread(s, 0) * spread(s, 2)).sqrt(), sums, said),
        **_noise_only("calibration_slope", lambda s: together(s) / spread(s, 2), sums, said),
        **_noise_only("bias", lambda s: half * (s[2] - s[0]) / people, sums, True),
        **_noise_only("rmse", lambda s: half * error(s).sqrt(), sums, firm and _stands_out(error, sums)),
    }


def _first_order(measure: Measure, sums: Estimate) -> tuple[float, float, NDArray[np.float64]]:
    """(value, standard deviation that the noise gives it, gradient)."""
    at = torch.from_numpy(np.array(sums.sum, np.float64)).requires_grad_()
    value = measure(at)
    (gradient,) = torch.autograd.grad(value, at)
    slope = gradient.numpy()
    return float(value.detach()), float(np.sqrt(((slope * sums.std) ** 2).sum())), slope


def _share(name: str, part: NDArray[np.bool_], whole: NDArray[np.bool_], sums: Estimate) -> dict[str, Any]:
    """What share of some cells, bool [shape of the block], some of them are."""
    if not _hold_somebody(whole, sums):
        return _interval(name, 0.0, 0.0, False)
    held = float(sums.sum[whole].sum())
    value = float(sums.sum[part].sum()) / held
    return _stated(name, value, (part - value * whole) / held, sums)


def _hold_somebody(cells: NDArray[np.bool_], sums: Estimate) -> bool:
    """Whether some cells' sum is above 0 by more than noise would make it."""
    return float(sums.sum[cells].sum()) > _SWAMPED * math.sqrt(float((sums.std[cells] ** 2).sum()))


def _stated(name: str, value: float, slope: NDArray[np.float64], sums: Estimate) -> dict[str, Any]:
    """A measure of counts, of this gradient, with the interval of noise and sampling together."""
    counts = np.maximum(sums.sum, 0.0)
    people = max(1.0, float(counts.sum()))
    noise = float(((slope * sums.std) ** 2).sum())
    sampling = float((slope**2 * counts).sum() - (slope * counts).sum() ** 2 / people)  # of a multinomial
    return _interval(name, value, math.sqrt(noise + max(0.0, sampling)), True)


def _noise_only(name: str, measure: Measure, sums: Estimate, firm: bool) -> dict[str, Any]:
    """A measure with the interval of the noise alone: how it varies with the sample the sums do not say."""
    if not firm:
        return {name: None, f"{name}_noise_95": None}
    value, noise, _ = _first_order(measure, sums)
    return {name: figure(value), f"{name}_noise_95": [figure(value - Z95 * noise), figure(value + Z95 * noise)]}


def _interval(name: str, value: float, error: float, firm: bool) -> dict[str, Any]:
    if not firm or not math.isfinite(value + error):
        return {name: None, f"{name}_95": None}
    return {name: figure(value), f"{name}_95": [figure(value - Z95 * error), figure(value + Z95 * error)]}


def _stands_out(measure: Measure, sums: Estimate) -> bool:
    """Whether a denominator is above 0 by more than noise would make it."""
    value, noise, _ = _first_order(measure, sums)
    return value > _SWAMPED * noise


def figure(value: float) -> float:
    """Six significant digits: pages are equal where last bits differ."""
    return float(f"{float(value):.6g}")
