"""What the masking task knows of public data: the panel's statistics, its scores, its decoys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afml import __version__
from afml.consortium.run import RunConfig
from afml.core.draws import draws_of, public_draw
from afml.core.errors import ConfigError
from afml.masking.lineup import DecoyPool, SiteInputs
from afml.masking.model import risk_score
from afml.masking.networks.features import PanelStatistics
from afml.masking.settings import MaskingSettings

if TYPE_CHECKING:
    from afml.genomics.sites import SitePanel


class PublicSide:
    """The panel of a run.

    Args:
        run: The run configuration.
        settings: Its masking settings.
        panel: The agreed sites.
        dosage: Dosages of the panel's people, [panel people, sites].

    Raises:
        ConfigError: Sites of the run, of the panel and of the dosages differ, or a drawn panel is asked for
            what only people have.
    """

    def __init__(self, run: RunConfig, settings: MaskingSettings, panel: SitePanel, dosage: NDArray[np.int8]) -> None:
        if not len(panel) == run.data.features == dosage.shape[1]:
            raise ConfigError(
                f"the run has {run.data.features} sites, the site panel {len(panel)}, the panel's genotypes "
                f"{dosage.shape[1]}",
                cure="prepare the panel genotypes with this run's site panel",
            )
        if panel.drawn_people and settings.risk.kept_components:
            raise ConfigError(
                "a panel drawn from allele frequencies has no principal components that a release could keep",
                cure="declare a trait, or use a panel of people",
            )
        self._draws = draws_of(run.run, run.seed)
        self._error = settings.game.genotype_error
        self.dosage = dosage
        # People drawn at independent sites have no ancestry: their principal components would be noise.
        components = 0 if panel.drawn_people else settings.risk.panel_components
        self.statistics = PanelStatistics.from_panel(dosage, components)
        annotations = np.ascontiguousarray(panel.annotations, dtype=np.float32)  # [sites, A]
        self.sites = SiteInputs(self.statistics, annotations)
        self.note: str = panel.drawn_note
        self.places: tuple[Sequence[str], NDArray[np.int64]] | None = (
            (panel.chrom, panel.pos) if panel.drawn_people else None
        )

    def __len__(self) -> int:
        return self.dosage.shape[1]

    def draw(self, label: str) -> np.random.Generator:
        """The generator of one public draw of the run."""
        return public_draw(self._draws, label)

    @cached_property
    def decoys(self) -> DecoyPool:
        """Decoys of private line-ups: the panel's people."""
        return self.pool(self.draw("decoys"), 0)

    def pool(self, rng: np.random.Generator, mosaics: int) -> DecoyPool:
        """The panel's people and so many mosaics of them."""
        return DecoyPool(self.dosage, self._error, rng, wanted=mosaics)

    def score(self, weights: NDArray[np.float64], dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """Risk scores of records."""
        return risk_score(weights, self.statistics.mean, self.statistics.scale, dosage)

    def moments(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each score over the panel; 1 where they do not differ."""
        score = self.score(weights, self.dosage)
        spread = score.std(axis=0)
        return np.asarray(score.mean(axis=0)), np.where(spread > 0, spread, 1.0)


def public_digest(panel: SitePanel, dosage: NDArray[np.int8]) -> str:
    """SHA-256, hex, of panel, annotations and version: what gradients depend on beside people and parameters."""
    digest = hashlib.sha256(__version__.encode())
    for array in (dosage, np.ascontiguousarray(panel.annotations, dtype=np.float32)):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
