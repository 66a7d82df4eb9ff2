"""Arms against each other over paired seeds, and what results/examples.json says of them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t as students_t

from afml.core.files import write_bytes

ARMS = ("non_private", "central_dp", "federated", "local_noise")
COVERAGE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with Student's interval.

    Attributes:
        mean: Of one arm minus the other.
        low: Lower end of the 95 % interval of that mean.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, one: Sequence[float], other: Sequence[float]) -> Difference:
        """Of two arms, seed by seed; at least two seeds."""
        gaps = [a - b for a, b in zip(one, other, strict=True)]
        mean, count = statistics.fmean(gaps), len(gaps)
        half = float(students_t.ppf((1 + COVERAGE) / 2, count - 1)) * statistics.stdev(gaps) / math.sqrt(count)
        return cls(mean, mean - half, mean + half)


def summary(metric: str, scores: Mapping[int, Mapping[str, float]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of one example.

    Args:
        metric: Name of the score.
        scores: Seed -> arm -> score.
        facts: What else is told: `ple_sigma`, and how it was trained.
    """
    arms = {arm: [scores[seed][arm] for seed in sorted(scores)] for arm in ARMS}
    against = {
        "federated_minus_central": Difference.of(arms["federated"], arms["central_dp"]),
        "federated_minus_local": Difference.of(arms["federated"], arms["local_noise"]),
    }
    means = {arm: statistics.fmean(values) for arm, values in arms.items()}
    ratio = means["federated"] / means["non_private"]
    told = {"metric": metric, "seeds": sorted(scores), "per_seed": arms, "of_non_private": ratio} | means | facts
    return told | {name: asdict(difference) for name, difference in against.items()} | {"bars": _bars(against, told)}


def _bars(against: Mapping[str, Difference], told: Mapping[str, Any]) -> dict[str, bool]:
    bars = {
        "federated - central_dp, lower end >= -0.01": against["federated_minus_central"].low >= -0.01,
        "federated - local_noise, lower end > 0": against["federated_minus_local"].low > 0,
    }
    if told.get("name") == "flchain":
        bars["federated / non_private >= 0.98"] = bool(told["of_non_private"] >= 0.98)
    return bars


def put(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Put one entry into results/examples.json; the others stay."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole[name] = dict(entry)
    write_bytes(path, (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode())
