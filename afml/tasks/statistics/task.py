"""The statistics task: one vector for every person, one noised sum, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.genomics.sites import SitePanel
from afml.tasks.release.blocks import SHORTENED, Blocks
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.task import ReleaseTask
from afml.tasks.statistics.column_results import Figure, column_figures, figure_arrays
from afml.tasks.statistics.columns import column_blocks, column_values
from afml.tasks.statistics.pages import Result, write_pages
from afml.tasks.statistics.people import StatisticsPeople
from afml.tasks.statistics.settings import StatisticsSettings
from afml.tasks.statistics.site_results import site_arrays
from afml.tasks.statistics.sites import counts_shortened, site_blocks, site_values
from afml.training.model import run_card

RELEASE = "release"
"""Name of the one phase."""


@dataclass(frozen=True, eq=False)
class PublicSites:
    """The public panel.

    Attributes:
        panel: The sites.
        dosage: Of its people, or of those drawn from its frequencies, int8 [panel people, S].
    """

    panel: SitePanel
    dosage: NDArray[np.int8]

    @property
    def people(self) -> int:
        """Whose frequencies the panel's are; 0 where they are stated and nobody's."""
        return 0 if self.panel.drawn_people else len(self.dosage)


class StatisticsTask(ReleaseTask):
    """See `afml.tasks.release.task.ReleaseTask`.

    Args:
        run: The run configuration.
        settings: What it releases.
        public: The public panel, where sites are released.
    """

    def __init__(self, run: RunConfig, settings: StatisticsSettings, public: PublicSites | None) -> None:
        super().__init__(run)
        self.settings, self.public = settings, public
        self._figures = settings.site_figures(run.data.kind)

    @cached_property
    def _vector(self) -> Blocks:
        sites = [] if self.public is None else site_blocks(
            self.settings, self._figures, self.public.panel, self.public.dosage
        )  # fmt: skip
        bound = 1.0
        if sites:  # the squared bound of columns is to that of sites as their shares are
            share = self.settings.site_share
            bound = math.sqrt(math.fsum(block.bound**2 for block in sites) * (1 - share) / share)
        return Blocks(
            *sites, *column_blocks(self.settings, bound), count_shortened=counts_shortened(self.settings, self._figures)
        )

    def vector(self, phase: int) -> Blocks:
        """See `ReleaseTask.vector`."""
        return self._vector

    def values(
        self, phase: int, enrolled: StatisticsPeople, people: NDArray[np.int64]
    ) -> Mapping[str, NDArray[np.float64]]:
        """See `ReleaseTask.values`."""
        read = enrolled.read(people)
        found = column_values(self.settings, read.cells, read.rows)
        if self.public is not None:
            p = self.public.panel.maf
            found |= {figure: site_values(figure, read.dosage, p) for figure in self._figures}
        return found

    def model(self) -> ReleaseModel:
        """Figures with their errors; see `afml.tasks.statistics.pages` for the files beside them."""
        estimates, people = self.estimates(0), self.people(0)
        figures = column_figures(self.settings, estimates, people)
        if SHORTENED in estimates:
            found = estimates[SHORTENED]
            figures.append(Figure("people", SHORTENED, "", float(found.sum[0]), float(found.std[0])))
        arrays = figure_arrays(figures)
        panel = None
        if self.public is not None:
            panel = self.public.panel
            found_sites = site_arrays(estimates, people, panel, self.public.people)
            arrays |= {f"sites.{name}": array for name, array in found_sites.items()}
        card = run_card(self.run) | {
            "people": people,
            "complete": self.complete,
            "figures": [[figure.of, figure.figure, figure.cell] for figure in figures],
        }
        result = Result(self.run.run, people, len(self.run.enrolled), figures, panel, arrays)
        return ReleaseModel(arrays, card, pages=lambda folder: write_pages(folder, result))
