"""What a demo is asked for: whose genomes, which traits, how they are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file
from afml.genomics.partition import Parts, check_split
from afml.masking.settings import MOST_TRAITS

SIMULATED_PEOPLE = 2500


@dataclass(frozen=True)
class Genomes:
    """Whose genotypes the demo is about.

    Attributes:
        vcf: Real genotypes to split; simulated ones without it.
        people: Table of the people in `vcf`; both or neither.
        cohorts: Folder of simulated ones that are there already (`tools/simulate_biobank.py`), instead.
        simulated: How many people to simulate, those of the panel included.
        panel_people: People of the public panel.
        nodes: Institutions that the others are dealt out to.
        sites: Most common sites that the run is about.
    """

    vcf: Path | None
    people: Path | None
    panel_people: int
    nodes: int
    sites: int
    cohorts: Path | None = None
    simulated: int = SIMULATED_PEOPLE

    def check(self) -> None:
        """Refuse what cannot be dealt out.

        Raises:
            InputError: A file is missing, is not what it should be, or holds too few people.
            ConfigError: Too few nodes to share noise.
        """
        if (self.vcf is None) != (self.people is None):
            raise InputError("--vcf and --panel go together", where="demo", cure="give both, or neither to simulate")
        if self.nodes < 3:
            raise ConfigError(f"{self.nodes} nodes cannot share noise", where="--nodes", cure="use 3 or more")
        if self.cohorts is not None:
            self._check_cohorts(self.cohorts)
        elif self.vcf and self.people:
            require_file(self.vcf, "VCF", "correct VCF=")
            require_file(self.people, "people table", "correct PANEL=")
            check_split(self.vcf, self.people, Parts(self.nodes, self.panel_people))
        else:
            where = "simulated cohort"
            Parts(self.nodes, self.panel_people).require_people(self.simulated, where)

    def _check_cohorts(self, folder: Path) -> None:
        if self.vcf is not None:
            raise InputError("give one of them", where="--vcf and --cohorts")
        cure = "make it with tools/simulate_biobank.py, or correct --nodes"
        for name in (*(f"node-{number}.bed" for number in range(1, self.nodes + 1)), "panel.vcf.gz", "people.tsv"):
            require_file(folder / name, "simulated cohort", cure)

    def calls(self, part: int | str, split: Path) -> Path:
        """The file of the panel ("panel") or of an institution (its number), `split` being where parts are made."""
        if self.cohorts is not None and isinstance(part, int):
            return self.cohorts / f"node-{part}.bed"
        return (self.cohorts or split) / (f"node-{part}.vcf.gz" if isinstance(part, int) else f"{part}.vcf.gz")


@dataclass(frozen=True)
class Traits:
    """What is simulated of these people.

    Attributes:
        binary, quantitative: Traits in one release.
        causal: Causal sites of each.
        heritability: Of each.
        covariates: Whether sex and age cause a part of each, too.
    """

    binary: int
    quantitative: int
    causal: int
    heritability: float
    covariates: bool = False

    @property
    def default(self) -> bool:
        """Whether it is the one phenotype of a run that declares none."""
        return (self.binary, self.quantitative, self.covariates) == (1, 0, False)

    def check(self) -> None:
        """Refuse what no release can serve.

        Raises:
            ConfigError: No trait, or too many.
        """
        if not 1 <= self.binary + self.quantitative <= MOST_TRAITS:
            raise ConfigError(
                f"a release cannot serve {self.binary + self.quantitative} phenotypes",
                where="--phenotypes and --quantitative", cure=f"ask for 1 to {MOST_TRAITS} in all",
            )  # fmt: skip


@dataclass(frozen=True)
class Rounds:
    """How the run is trained.

    Attributes:
        risk: Private rounds of the risk model.
        game: Private rounds of masker and identifier.
        game_steps: Steps of the game on the panel.
        ple: Target PLE of the whole plan, in sigma.
        noise: "distributed" or "local".
        trust: Options of `afml configure` that trust less.
    """

    risk: int
    game: int
    game_steps: int
    ple: float
    noise: str
    trust: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Rounds of the run."""
        return self.risk + self.game


@dataclass(frozen=True)
class DemoSettings:
    """A demo.

    Attributes:
        out: Its folder.
        genomes: Whose genotypes.
        traits: What is simulated of them.
        rounds: How the run is trained.
        seed: Of data and attacks.
        simulation: Noise, held-out people and column order come from the seed, too: nobody is protected.
        fill: What a masked genotype shows: "missing" or "major".
        patterns: Release patterns at most; None for as many as `afml configure` chooses.
        overlap: Whether people who are at two institutions are looked for, and left out at one of them.
        declared_audit: Whether the run is played again with nobody but made-up people in it, and attacked.
        publish: Whether every institution attacks its own file in the end, and publishes what meets its targets.
        tell: Whether packages tell the first trait by pseudonym: k counts it too, so there are fewer patterns.
    """

    out: Path
    genomes: Genomes
    traits: Traits
    rounds: Rounds
    seed: int
    simulation: bool
    fill: str = "missing"
    patterns: int | None = None
    overlap: bool = False
    declared_audit: bool = False
    publish: bool = True
    tell: bool = False
