"""From runs to results/reproduce.json: groups, medians, bars."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict

from afml.core.config import Settings
from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.evaluation.baselines import BINNED, GROUPED_STATIC, STATIC
from afml.study.record import RunRecord
from afml.study.rivals import GREEDY

FIGURES = (
    "rr", "rr_reduction", "rr_known_institution", "utility_ratio", "utility_ratio_chance_corrected",
    "utility_ratio_vs_best_raw", "ple_sigma", "seconds",
)  # fmt: skip
UTILITY_BARS = {5: 1.03, 20: 0.98, 50: 0.92}
CHANCE_CORRECTED_BARS = {5: 1.0, 20: 0.92, 50: 0.78}
LOCAL_BARS = {5: 0.92, 20: 0.85}
TWO_PHENOTYPE_BARS = {5: 1.0, 20: 0.92}


class Bar(Settings):
    """One bar in one group.

    Attributes:
        what: In words.
        group: (noise, PLE target, sites, causal sites), as in the summary.
        value: Reached.
        target: To reach; None where the figure is only reported.
        at_least: Whether more is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    what: str
    group: tuple[str, ...]
    value: float
    target: float | None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target - 1e-9 if self.at_least else self.value <= self.target + 1e-9


Group = tuple[str, ...]


def group_of(record: RunRecord) -> Group:
    """(noise, PLE target, sites, causal sites) as keys."""
    settings = record.settings
    return (settings.noise, f"{settings.ple:g}", settings.sites_key, str(settings.causal))


def is_plain(record: RunRecord) -> bool:
    """Whether a run is of the product's defaults with one phenotype; only these are in `summary`."""
    return record.settings.variant == "default" and record.settings.phenotypes == 1


def groups(records: Iterable[RunRecord]) -> dict[Group, list[RunRecord]]:
    """Runs by group, in the order of noise, falling PLE, sites, causal sites."""
    found: dict[Group, list[RunRecord]] = {}
    for record in records:
        found.setdefault(group_of(record), []).append(record)

    def order(group: Group) -> tuple[Any, ...]:
        sites = float("inf") if group[2] == "all" else int(group[2])
        return (group[0], -float(group[1]), sites, int(group[3]))

    return {group: found[group] for group in sorted(found, key=order)}


def median(values: Iterable[float]) -> float:
    """Median as a plain number."""
    return float(np.median(list(values)))


def statistics(records: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    """{"median" | "min" | "max": {figure: value}} over the runs of a group."""
    ways: dict[str, Callable[[Any], Any]] = {"median": np.median, "min": np.min, "max": np.max}
    return {
        way: {name: float(function([getattr(record, name) for record in records])) for name in FIGURES}
        for way, function in ways.items()
    }


def summarise(records: Iterable[RunRecord]) -> dict[str, Any]:
    """Nested: noise -> PLE target -> sites -> causal sites -> median, min, max -> figure."""
    nested: dict[str, Any] = {}
    for group, members in groups(filter(is_plain, records)).items():
        at = nested
        for key in group[:-1]:
            at = at.setdefault(key, {})
        at[group[-1]] = {"runs": len(members), **statistics(members)}
    return nested


def margin(record: RunRecord, name: str) -> float:
    """Utility ratio of the release minus the best that a baseline reaches at no higher RR.

    A baseline without such a level is credited with a release that says nothing (AUC 0.5). Levels of the plot
    are attacked by likelihood linkage alone, the release by every attack, so the comparison favours baselines.
    """
    nothing = 0.5 / record.release.raw_auc
    reached = [p.utility_ratio for p in record.frontier if p.name == name and p.rr <= record.rr]
    return record.utility_ratio - max(reached, default=nothing)


def bars(records: Sequence[RunRecord]) -> list[Bar]:
    """Every bar of the analysis plan in every group that has runs."""
    found: list[Bar] = []
    plain = [record for record in records if is_plain(record)]
    for group, members in groups(plain).items():
        noise, _, sites, causal = group
        if sites != "1024":
            continue
        if noise == "local":
            kept = [r.utility_ratio for r in members if r.rr_reduction >= 0.98]
            value = median(kept) if 2 * len(kept) > len(members) else 0.0
            found.append(
                Bar(what="utility ratio at RR reduction >= 98 %", group=group, value=value,
                    target=LOCAL_BARS.get(int(causal)))
            )  # fmt: skip
            continue
        found += _distributed(group, members)
    for count, members in _two_phenotypes(records).items():
        group = ("distributed", "0.9", "1024", f"{count}, two phenotypes")
        for index, name in enumerate(("first", "second")):
            value = median(r.phenotypes[index].utility_ratio for r in members)
            target = TWO_PHENOTYPE_BARS.get(count)
            found.append(Bar(what=f"utility ratio, {name} phenotype", group=group, value=value, target=target))
        value = median(r.rr for r in members)
        found.append(Bar(what="RR", group=group, value=value, target=0.012, at_least=False))
    return found


def _distributed(group: Group, members: Sequence[RunRecord]) -> list[Bar]:
    causal, ple = int(group[3]), float(group[1])

    def bar(what: str, value: float, target: float | None, *, at_least: bool = True) -> Bar:
        return Bar(what=what, group=group, value=value, target=target, at_least=at_least)

    corrected = median(r.utility_ratio_chance_corrected for r in members)
    lost = median(r.ungrouped_ratio - r.utility_ratio for r in members)
    found = [r.audited_ple_lower for r in members if r.audited_ple_lower is not None]
    accounted = min(r.ple_sigma for r in members)
    audited = [bar("PLE established by attack (largest)", max(found), accounted, at_least=False)] if found else []
    static = min(median(margin(r, name) for r in members) for name in (STATIC, GROUPED_STATIC))
    return [
        bar("RR reduction against random masking", median(r.rr_reduction for r in members), 0.995),
        bar("utility ratio", median(r.utility_ratio for r in members), UTILITY_BARS.get(causal)),
        bar("utility ratio, chance-corrected", corrected, CHANCE_CORRECTED_BARS.get(causal)),
        bar("utility above static top sites at no higher RR", static, 0.0),
        bar("utility above the greedy codebook at no higher RR", median(margin(r, GREEDY) for r in members), 0.0),
        bar("utility above the binned score at no higher RR", median(margin(r, BINNED) for r in members), -0.02),
        bar("PLE, sigma (largest of any run)", max(r.ple_planned for r in members), ple, at_least=False),
        *audited,
        bar(
            "RR bound, institution known (largest of any file)",
            max(r.group_bound for r in members),
            0.05,
            at_least=False,
        ),
        bar("utility lost by grouping", lost, 0.03, at_least=False),
        bar("seconds of one configuration", median(r.seconds for r in members), 360.0, at_least=False),
    ]


def _two_phenotypes(records: Iterable[RunRecord]) -> dict[int, list[RunRecord]]:
    found: dict[int, list[RunRecord]] = {}
    for record in records:
        if record.settings.phenotypes == 2 and record.settings.variant == "default":
            found.setdefault(record.settings.causal, []).append(record)
    return dict(sorted(found.items()))


def write_summary(
    path: Path, records: Sequence[RunRecord], *, missing: Sequence[str], regression: dict[str, Any] | None
) -> None:
    """Write reproduce.json.

    Args:
        path: Target.
        records: The runs that are there.
        missing: Names of planned runs that are not.
        regression: What `afml.study.regression.describe` says.
    """
    whole = {
        "insecure": True,
        "about": f"{SIMULATION}; PLE and epsilon are those of the same runs with noise from the operating system",
        "runs": [record.model_dump(mode="json") for record in records],
        "summary": summarise(records),
        "bars": [bar.model_dump(mode="json") | {"met": bar.met} for bar in bars(records)],
        "regression": regression,
        "missing": list(missing),
    }
    write_bytes(path, (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode())
