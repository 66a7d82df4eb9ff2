"""Other uses of a released file: allele frequencies, association scans; and DP summaries that are made for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement, NodeCard
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.evaluation.agreement import frequencies, trend_z
from afml.evaluation.attacks.base import Float64
from afml.study.data import StudyData
from afml.tasks.statistics.kind import STATISTICS
from afml.tasks.statistics.people import Read
from afml.tasks.statistics.settings import StatisticsSettings
from afml.tasks.statistics.task import PublicSites, StatisticsTask
from afml.training.inprocess import train_in_process
from afml.training.planning import Rounds, Terms, configure
from afml.training.registry import find

TOP = 100
"""Sites with the largest chi-square that a scan is asked for."""
DELTA = 1e-5
ALLELES: Mapping[str, Any] = {"sites": ["alleles"]}
_NAMES = ("frequency", "combined")


class Uses(Settings):
    """What else a file, or a summary of the same people, is good for, on all sites.

    Attributes:
        frequency_error: Mean absolute error of allele frequencies; sites that show nobody are left out.
        frequency_correlation: With the exact frequencies; null where nothing varies.
        sites_without_calls: Sites left out.
        scan_retention: Of the TOP sites with the largest chi-square of the disease on raw genotypes (Cochran-Armitage,
            training people), the share that is among as many of the file's; by chance TOP / sites.
    """

    frequency_error: float
    frequency_correlation: float | None
    sites_without_calls: int
    scan_retention: float


def uses_of(
    data: StudyData, disease: NDArray[np.int8], told: Float64, associations: NDArray[np.float32] | Float64
) -> Uses:
    """Frequencies (NaN where nothing is known) and associations, [S] both, beside those of the raw genotypes."""
    dosage, training = np.concatenate(data.files), np.concatenate(data.enrolled)
    true, known = frequencies(dosage), ~np.isnan(told)
    raw = np.abs(trend_z(dosage[training], disease[training]))
    best, shown = (np.argsort(-np.abs(one), kind="stable")[:TOP] for one in (raw, associations))
    varies = known.sum() > 1 and told[known].std() > 1e-12
    return Uses(
        frequency_error=float(np.abs(told - true)[known].mean()) if known.any() else 0.5,
        frequency_correlation=float(np.corrcoef(told[known], true[known])[0, 1]) if varies else None,
        sites_without_calls=int((~known).sum()),
        scan_retention=len(set(best[raw[best] > 0]) & set(shown[np.abs(associations)[shown] > 0])) / TOP,
    )


@dataclass(frozen=True, eq=False)
class Held:
    """People whose genotypes are in memory; see `afml.tasks.statistics.people.StatisticsPeople`."""

    dosage: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.dosage)

    def digest(self) -> str:
        """Of a run in one process nobody compares it."""
        return str(self.dosage.shape)

    def read(self, people: NDArray[np.int64]) -> Read:
        """Some of the people."""
        return Read({}, np.ones(len(people), np.int64), self.dosage[people])


def frequencies_run(
    data: StudyData,
    settings: Mapping[str, Any],
    seed: int,
    ple: float,
    noise: Literal["distributed", "local"] = "distributed",
) -> RunConfig:
    """The run that `afml configure --task statistics --reserve-attempts 0` makes of these institutions."""
    agreed = DataAgreement(kind="genotypes", fingerprint=data.panel.digest(), features=len(data.panel))
    cards = [NodeCard(node=node, data=agreed, enrolled=len(file)) for node, file in enumerate(data.files, start=1)]
    terms = Terms(name="frequencies", ple_sigma=ple, delta=DELTA, reserve_attempts=0, noise=noise, seed=seed)
    return configure("examples", cards, find("statistics"), settings, Rounds(), terms)


def released_frequencies(data: StudyData, run: RunConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(frequencies, frequencies combined with the panel), [S], of one run over everybody."""
    settings = STATISTICS.settings(run.task.settings)
    assert isinstance(settings, StatisticsSettings)
    task = StatisticsTask(run, settings, PublicSites(data.panel, data.panel_dosage))
    train_in_process(run, task, {node: Held(file) for node, file in enumerate(data.files, start=1)})
    arrays = task.model().arrays
    alone, combined = (np.asarray(arrays[f"sites.{name}"]) for name in _NAMES)
    return alone, combined
