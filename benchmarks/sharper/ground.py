"""What all seeds and variants share: people, panel, and the noise that the product plans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import Phase, RunConfig
from afml.core.files import write_bytes
from afml.evaluation.utility import Outcome, raw_auc
from afml.genomics.liability import simulate_phenotype
from afml.masking.enrolled import Enrolled
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.risk import CURVATURE
from afml.masking.risk import risk_inputs
from afml.masking.settings import RISK, GameSettings, RiskSettings
from afml.privacy.noise import node_std
from afml.study.data import DataSettings, StudyData, exomes, file_digest, load
from afml.study.design import GAME_ROUNDS, GAME_SHARE
from afml.study.reproduction import phases
from afml.study.settings import RunSettings

SITES = 1024
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """Causal sites of the simulated trait, and target PLE of the whole plan, in sigma."""

    causal: int
    ple: float

    @property
    def name(self) -> str:
        return f"causal {self.causal}, PLE {self.ple:g}"


class Ground:
    """The study's people, and what the risk model sees of them.

    Args:
        data: Panel and institutions.
        settings: They were loaded by.
        cache: Folder for raw models' AUC, which take longest.

    Attributes:
        statistics: Of the panel.
        panel: Features of its people, float32 [panel people, sites].
        inputs: Features and constant of everybody who trains, float32 [people, sites + 1].
        standard: Standardised dosages of everybody, float32 [private people, sites].
        training: Who trains, bool [private people].
    """

    def __init__(self, data: StudyData, settings: DataSettings, cache: Path) -> None:
        self.data, self.settings, self._cache = data, settings, cache
        self.statistics = PanelStatistics.from_panel(data.panel_dosage, RiskSettings().panel_components)
        self.panel = self.statistics.features(data.panel_dosage)
        self.people, self.training = np.concatenate(data.files), np.concatenate(data.enrolled)
        self.standard = self.statistics.standardise(self.people)
        nobody = Enrolled(self.people[self.training], np.zeros(int(self.training.sum()), np.int8))
        self.inputs: Floats = risk_inputs(self.statistics, nobody).numpy()

    @classmethod
    def of(cls, source: Path, cache: Path) -> Ground:
        """The real exomes of the analysis plan."""
        settings = DataSettings(kind="vcf", source=file_digest(exomes(source)[0]), sites=SITES)
        return cls(load(settings, source=source, cache=cache, note=print), settings, cache)

    @property
    def sites(self) -> int:
        return self.panel.shape[1]

    @property
    def newton(self) -> float:
        """Length of a Newton step of an uncorrelated model per unit of the mean gradient."""
        return float(1 / CURVATURE["binary"] / self.statistics.variance)

    @cached_property
    def linkage(self) -> NDArray[np.float64]:
        """Products of panel features over their mean square: the panel's LD, [sites, sites]."""
        features = self.panel.astype(np.float64)
        found = features.T @ features
        return np.asarray(found / np.mean(np.diag(found)))

    @cached_property
    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues and eigenvectors of `linkage`, the largest first, those of the panel's span: [k], [sites, k]."""
        values, vectors = np.linalg.eigh(self.linkage)
        kept = values > 1e-6 * values[-1]
        return values[kept][::-1], vectors[:, kept][:, ::-1]

    @cached_property
    def panel_standard(self) -> Floats:
        """Standardised dosages of the panel, whose scores get variance 1, [panel people, sites]."""
        return self.statistics.standardise(self.data.panel_dosage)

    def cases(self, cell: Cell, seeds: tuple[int, ...]) -> NDArray[np.int8]:
        """The simulated trait of everybody, [private people, seeds]."""
        made = [simulate_phenotype(self.people, causal=cell.causal, heritability=0.5, seed=seed)[0] for seed in seeds]
        return np.stack(made, axis=1)

    def outcome(self, case: NDArray[np.int8]) -> Outcome:
        return Outcome(case, self.training)

    def raw(self, cell: Cell, seed: int, case: NDArray[np.int8]) -> float:
        """AUC of the fixed pipeline on raw genotypes; kept, since it is the same for all variants."""
        kept = self._cache / "raw" / f"{self.settings.source[:12]}-{cell.causal}-{seed}"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(kept, repr(raw_auc(self.people, self.outcome(case))).encode())
        return float(kept.read_text())

    def run(self, cell: Cell, seed: int, game_share: float = GAME_SHARE, focus: int = 0) -> RunConfig:
        """The product's own configuration, its game rounds left out: their share of the budget stays unspent."""
        rounds = GAME_ROUNDS if game_share else 0
        planned = phases(cell.ple, self.sites, game_share or GAME_SHARE, rounds, 1, GameSettings(steps=0))
        settings = RunSettings(
            data=self.settings, causal=cell.causal, phenotype_seed=seed, ple=cell.ple,
            phases=tuple(phase for phase in planned if phase.name == RISK), game=GameSettings(steps=0),
            risk=RiskSettings(focus=focus), variant="sharper",
        )  # fmt: skip
        return settings.run_config(self.data)

    def planned(self, cell: Cell, game_share: float = GAME_SHARE) -> tuple[Phase, float]:
        """The risk phase, and the standard deviation of its noise in the sum of all nodes, in clip norms."""
        run = self.run(cell, 1, game_share)
        (phase,) = run.phases
        return phase, float(node_std(run, phase) / phase.clip_norm * len(run.enrolled) ** 0.5)
