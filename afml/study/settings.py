"""What one run of the study is: everything that its result depends on, in one frozen object.

The digest of a `RunSettings` decides whether a stored result still stands: a changed default of the product,
another seed or another input file gives another digest, and the run is made again.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field, ValidationError

from afml.consortium.run import Budget, Phase, RunConfig
from afml.core.config import Settings, complaint
from afml.core.errors import ConfigError
from afml.genomics.public import people_digest
from afml.masking.chosen import genotypes, masking_choice
from afml.masking.plan import parameter_counts
from afml.masking.settings import FOCUS, GAME, RISK, GameSettings, MaskingSettings, ReleaseSettings, RiskSettings
from afml.privacy.noise import with_fewest_bits
from afml.study.data import DataSettings, StudyData

CONSORTIUM = "study"
#: Training noise and attackers are seeded apart from phenotypes, so that no two streams meet.
TRAINING_SEED_OFFSET = 100_000
EVALUATION_SEED = 7
LONGEST_NAME = 64  # characters of a run's name


class RunSettings(Settings):
    """One run.

    The privacy noise of a study is seeded (and the run configuration therefore marked insecure), so that a
    result can be made again; a real run never is.
    """

    data: DataSettings
    causal: int = Field(ge=1, description="causal sites of each simulated phenotype")
    phenotypes: int = Field(default=1, ge=1, description="phenotypes in one release")
    phenotype_seed: int
    heritability: float = Field(default=0.5, ge=0, le=1)
    ple: float = Field(gt=0, description="target PLE of the whole plan, in sigma")
    delta: float = Field(default=1e-5, gt=0, lt=1)
    noise: Literal["distributed", "local"] = "distributed"
    quorum: int = Field(default=0, ge=0, description="0: all nodes")
    max_colluding: int = Field(default=1, ge=0)
    reserve_attempts: int = Field(default=1, ge=0)
    phases: tuple[Phase, ...] = Field(description="which of them need the public part follows from their names")
    risk: RiskSettings = RiskSettings(focus=FOCUS)
    game: GameSettings = GameSettings()
    release: ReleaseSettings = ReleaseSettings()
    variant: str = Field(default="default", description="label of an ablation")
    federated: bool = Field(default=False, description="train through the encrypted federation, too")
    population: tuple[int, ...] = Field(default=(10,), description="also attack with this many times the candidates")
    audited: bool = Field(default=False, description="train once more with canaries: an empirical lower bound of PLE")

    @property
    def sites_key(self) -> str:
        """Sites as a key of the summary: a number, or "all"."""
        return str(self.data.sites) if self.data.sites else "all"

    @property
    def name(self) -> str:
        """File name of the result, without suffix; also names the run, so it is shortened where it is too long."""
        parts = [self.noise, f"ple{self.ple:g}", f"sites{self.sites_key}", f"causal{self.causal}"]
        parts += [f"phenotypes{self.phenotypes}"] if self.phenotypes > 1 else []
        parts += [self.variant] if self.variant != "default" else []
        name = "-".join([*parts, f"seed{self.phenotype_seed}"])
        if len(name) <= LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST_NAME - len(digest) - 1]}-{digest}"

    @property
    def training_seed(self) -> int:
        """Seed of batches and privacy noise."""
        return TRAINING_SEED_OFFSET + self.phenotype_seed

    def run_config(self, data: StudyData) -> RunConfig:
        """The run configuration, the same that `afml configure` writes for these institutions.

        Raises:
            ConfigError: Settings contradict each other (a quorum above the number of nodes, say).
        """
        enrolled = {node: int(rows.sum()) for node, rows in enumerate(data.enrolled, start=1)}
        risk = self.risk.model_copy(update={"phenotypes": self.phenotypes})
        settings = MaskingSettings(risk=risk, game=self.game, release=self.release)
        of_risk, of_game = parameter_counts(len(data.panel), settings)
        lengths = {
            RISK: {"parameters": of_risk, "needs_public": False},
            GAME: {"parameters": of_game, "needs_public": True},
        }
        try:
            run = RunConfig(
                run=self.name,
                consortium=CONSORTIUM,
                task=masking_choice(settings),
                data=genotypes(data.panel.digest(), len(data.panel), people_digest(data.panel_dosage)),
                public_part=True,
                enrolled=enrolled,
                quorum=self.quorum or len(enrolled),
                max_colluding=self.max_colluding,
                noise=self.noise,
                budget=Budget(delta=self.delta, ple_sigma=self.ple),
                reserve_attempts=self.reserve_attempts,
                phases=tuple(phase.model_copy(update=lengths[phase.name]) for phase in self.phases),
                seed=self.training_seed,
            )
        except ValidationError as error:
            raise ConfigError(complaint(error), where=f"run {self.name}") from None
        return with_fewest_bits(run)
