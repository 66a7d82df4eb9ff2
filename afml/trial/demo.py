"""The demo: data, traits, a federated run, its audit, its releases and their report, in one folder."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from afml.core.config import canonical_json
from afml.core.errors import ConfigError, InputError
from afml.core.files import require_file, write_bytes
from afml.core.progress import Event, step, text_of
from afml.evaluation.report import read_json, write_json
from afml.genomics.partition import Parts, check_split
from afml.masking.settings import MOST_TRAITS
from afml.trial.memory import PeakMemory
from afml.trial.parties import Parties
from afml.trial.processes import Team

NAME = "demo"  # of the consortium and of its run
MARK = ".afml-demo"
SIMULATED_PEOPLE = 2500
PATIENCE_S = 3600
_SIMULATOR = Path(__file__).parents[2] / "tools" / "simulate_cohorts.py"


@dataclass(frozen=True)
class Genomes:
    """Whose genotypes the demo is about.

    Attributes:
        vcf: Real genotypes to split; simulated ones without it.
        people: Table of the people in `vcf`; both or neither.
        cohorts: Folder of simulated ones that are there already (`tools/simulate_biobank.py`), instead.
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
            Parts(self.nodes, self.panel_people).require_people(SIMULATED_PEOPLE, where)

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
    """

    out: Path
    genomes: Genomes
    traits: Traits
    rounds: Rounds
    seed: int
    simulation: bool
    fill: str = "missing"
    patterns: int | None = None


class Demo:
    """A whole consortium on this machine, every party its own process, nothing mocked."""

    def __init__(self, settings: DemoSettings) -> None:
        """Start from nothing. Whatever can be refused is refused before an earlier demo in the folder goes.

        Raises:
            InputError: A file is wrong, or `settings.out` holds something that no demo made.
            ConfigError: The settings contradict each other.
        """
        settings.traits.check()
        settings.genomes.check()
        _clean(settings.out)
        self._settings, self._data = settings, settings.out / "data"
        self._seeded: tuple[object, ...] = ("--seed", settings.seed) if settings.simulation else ()
        self._seconds: dict[str, float] = {}

    @property
    def report(self) -> Path:
        """The report, once the demo has run."""
        return self._settings.out / "report.json"

    def run(self) -> None:
        """Every step, from data to report.

        Raises:
            ChildFailed: A process failed.
        """
        out, nodes = self._settings.out, self._settings.genomes.nodes
        with Team(out / "logs") as team, PeakMemory(team.running) as memory:
            consortium = Parties(team, out, nodes)
            self._make_data(team)
            self._make_traits(team)
            self._prepare(consortium)
            self._train(consortium)
            for name, taken in (("audit", consortium.verify), ("release", consortium.mask)):
                with step(name, seconds=self._seconds):
                    taken()
            self._evaluate(team, consortium)
        held = {name: round(peak / 1e9, 3) for name, peak in sorted(memory.by_name.items())}
        peak = {"peak_gb": round(memory.together / 1e9, 3), "peak_gb_by_process": held}
        write_json(read_json(self.report).model_copy(update=peak), self.report)
        with Team(out / "logs") as team, step("dossier"):
            Parties(team, out, nodes).dossier(self.report, out / "dossier")

    def _make_data(self, team: Team) -> None:
        genomes, seed = self._settings.genomes, self._settings.seed
        shared = ("--out", self._data, "--nodes", genomes.nodes, "--seed", seed)
        if genomes.cohorts is not None:
            return
        with step("data", seconds=self._seconds) as running:
            if genomes.vcf and genomes.people:
                running.note("splitting the VCF into a public panel and institutions")
                people = ("--people", genomes.people, "--panel-people", genomes.panel_people)
                team.run("split", ["split", genomes.vcf, *people, *shared])
                return
            running.note("simulating an out-of-Africa cohort with msprime")
            require_file(_SIMULATOR, "simulator", "run the demo from a checkout, or give --vcf and --panel")
            sizes = ("--people", SIMULATED_PEOPLE, "--panel", genomes.panel_people, "--sites", max(2000, genomes.sites))
            command = [sys.executable, _SIMULATOR, *sizes, *shared]
            team.wait([team.start_command("simulate", list(map(str, command)))])

    def _make_traits(self, team: Team) -> None:
        genomes, traits = self._settings.genomes, self._settings.traits
        with step("phenotypes", seconds=self._seconds):
            team.run("phenotypes", [
                "phenotypes", *[self._vcf(n) for n in range(1, genomes.nodes + 1)],
                "--panel-vcf", self._vcf("panel"), "--out", self._data / "phenotypes.tsv", "--sites", genomes.sites,
                "--causal", traits.causal, "--heritability", traits.heritability, "--seed", self._settings.seed,
                "--phenotypes", traits.binary, "--quantitative", traits.quantitative,
                *(("--covariates",) if traits.covariates else ()),
            ])  # fmt: skip

    def _prepare(self, consortium: Parties) -> None:
        with step("provision", seconds=self._seconds):
            consortium.provision(NAME, self._settings.rounds.ple)
        with step("prepare", seconds=self._seconds):
            own = [("--vcf", self._vcf(n)) for n in consortium.nodes]
            shared = (
                "--panel-vcf", self._vcf("panel"), "--phenotypes", self._data / "phenotypes.tsv",
                "--sites", self._settings.genomes.sites, *self._seeded,
            )  # fmt: skip
            consortium.prepare(own, shared)

    def _train(self, consortium: Parties) -> None:
        rounds = self._settings.rounds
        patterns = () if self._settings.patterns is None else ("--patterns", self._settings.patterns)
        # Many people take minutes to load where all institutions share one machine.
        patience = () if self._settings.genomes.cohorts is None else ("--deadline", PATIENCE_S)
        declared = () if self._settings.traits.default else ("--risk", self._data / "phenotypes.risk.json")
        with step("configure", seconds=self._seconds):
            consortium.configure([
                "--run", NAME, "--ple", rounds.ple, "--rounds", rounds.risk, "--game-rounds", rounds.game,
                "--game-steps", rounds.game_steps, "--noise", rounds.noise,
                "--fill", self._settings.fill, *patterns, *patience, *declared, *self._seeded, *rounds.trust,
            ])  # fmt: skip
        with step("federate", total=rounds.total, seconds=self._seconds) as running:

            def tell(event: Event) -> None:
                running.note(text_of(event))
                if event.kind == "applied":
                    running.advance()

            consortium.train(tell)

    def _evaluate(self, team: Team, consortium: Parties) -> None:
        settings, seconds = self._settings, self._settings.out / "seconds.json"
        write_bytes(seconds, canonical_json(self._seconds))
        works = [option for n in consortium.nodes for option in ("--work", consortium.work(n).root)]
        with step("evaluate", seconds=self._seconds):
            team.run("evaluate", [
                "evaluate", "--run", consortium.run_file, "--out", settings.out, *works,
                "--data-kind", "vcf" if settings.genomes.vcf else "simulated",
                "--phenotype", self._data / "phenotypes.json", "--seed", settings.seed,
                "--aggregator", consortium.aggregator, "--seconds", seconds,
                *(("--groups", settings.genomes.people) if settings.genomes.people else ()),
            ])  # fmt: skip

    def _vcf(self, part: int | str) -> Path:
        return self._settings.genomes.calls(part, self._data)


def _clean(out: Path) -> None:
    """Start from nothing; only a folder that a demo made is removed."""
    if out.exists():
        if not out.is_dir():
            raise InputError("is not a folder", where=out, cure="choose another --out")
        if any(out.iterdir()) and not (out / MARK).exists():
            raise InputError("exists and was not made by a demo", where=out, cure="choose another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).touch()
