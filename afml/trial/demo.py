"""The demo: data, traits, a federated run, its audit, its releases, their report and publication, in one folder."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from afml.core.config import canonical_json
from afml.core.errors import InputError
from afml.core.files import require_file, write_bytes
from afml.core.progress import Event, console, step, text_of
from afml.evaluation.report import read_json, write_json
from afml.trial.memory import PeakMemory
from afml.trial.parties import Options, Parties
from afml.trial.processes import Team
from afml.trial.settings import DemoSettings
from afml.trial.traits import declared_traits

NAME = "demo"  # of the consortium and of its run
MARK = ".afml-demo"
PATIENCE_S = 3600
OWN_SAMPLE = 12_000
"""People at most on whom an institution's own evaluation measures utility: with fewer than 8,000 who train, models take
longer to fit (`afml.evaluation.utility.large`)."""
TWICE = 20
"""Simulated people who are planted at two institutions each, where these are looked for."""
_SIMULATOR = Path(__file__).parents[2] / "tools" / "simulate_cohorts.py"


class Demo:
    """A whole consortium on this machine, every party its own process, nothing mocked.

    Attributes:
        published: Node -> what it said of its package in the end, in one line: published, or why not. Empty where
            nobody was asked to.
    """

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
        self.published: dict[int, str] = {}

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
            if self._settings.overlap:
                self._leave_out(Parties(team, out, nodes, run=out / "overlap"))
            self._train(consortium)
            for name, taken in (("audit", consortium.verify), ("release", lambda: consortium.mask(self._told))):
                with step(name, seconds=self._seconds):
                    taken()
            if self._settings.declared_audit:
                with step("declared audit", seconds=self._seconds):
                    consortium.attack_declared(self._settings.seed)
            self._evaluate(team, consortium)
            if self._settings.publish:
                self._publish(consortium)
        held = {name: round(peak / 1e9, 3) for name, peak in sorted(memory.by_name.items())}
        peak = {"peak_gb": round(memory.together / 1e9, 3), "peak_gb_by_process": held}
        report = read_json(self.report)
        seconds = report.seconds | {name: took for name, took in self._seconds.items() if name == "publish"}
        write_json(report.model_copy(update={**peak, "seconds": seconds}), self.report)
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
            sites = max(2000, genomes.sites)
            sizes = ("--people", genomes.simulated, "--panel", genomes.panel_people, "--sites", sites)
            planted = ("--twice", TWICE) if self._settings.overlap else ()
            command = [sys.executable, _SIMULATOR, *sizes, *planted, *shared]
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
            consortium.provision(NAME, self._settings.rounds.ple, overlap=self._settings.overlap)
        with step("prepare", seconds=self._seconds):
            consortium.prepare([("--vcf", self._vcf(n)) for n in consortium.nodes], self._shared)

    @property
    def _shared(self) -> Options:
        """What all institutions say to `afml prepare`."""
        return (
            "--panel-vcf", self._vcf("panel"), "--phenotypes", self._data / "phenotypes.tsv",
            "--sites", self._settings.genomes.sites, *self._seeded,
        )  # fmt: skip

    def _leave_out(self, asking: Parties) -> None:
        """Sign a run for the query alone; who is to leave somebody out prepares again, and has a new card."""
        self._configure(asking, f"{NAME}-overlap")
        with step("overlap", seconds=self._seconds):
            lists = asking.find_overlap()
            asking.prepare([("--vcf", self._vcf(n), "--without", lists[n]) for n in asking.nodes], self._shared)
        left_out = sum(len(names.read_text().splitlines()) for names in lists.values())
        planted = self._data / "twice.tsv"
        told = f"overlap: {left_out} records are left out, of people whom another institution enrols and keeps"
        if planted.exists():
            told += f"; {len(planted.read_text().splitlines()) - 1} people were made to be at two"
        console.print(f"{told}. Nobody asks about held-out people")

    def _configure(self, consortium: Parties, name: str) -> None:
        rounds = self._settings.rounds
        patterns = () if self._settings.patterns is None else ("--patterns", self._settings.patterns)
        # Many people take minutes to load where all institutions share one machine.
        patience = () if self._settings.genomes.cohorts is None else ("--deadline", PATIENCE_S)
        declared = () if self._settings.traits.default else ("--risk", self._data / "phenotypes.risk.json")
        with step("configure", seconds=self._seconds):
            consortium.configure([
                "--run", name, "--ple", rounds.ple, "--rounds", rounds.risk, "--game-rounds", rounds.game,
                "--game-steps", rounds.game_steps, "--noise", rounds.noise,
                "--fill", self._settings.fill, *patterns, *patience, *declared, *self._seeded, *rounds.trust,
            ])  # fmt: skip

    def _train(self, consortium: Parties) -> None:
        rounds = self._settings.rounds
        self._configure(consortium, NAME)
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
                "evaluate", "--run", consortium.run_file, "--out", settings.out, *works, *self._about,
                "--aggregator", consortium.aggregator, "--seconds", seconds,
            ])  # fmt: skip

    def _publish(self, consortium: Parties) -> None:
        """What leaves each house in the end: its own file, attacked at home and held against its targets."""
        with step("publish", seconds=self._seconds) as running:
            running.note("every institution attacks its own file")
            consortium.assess((*self._about, "--sample", OWN_SAMPLE))
            running.note("packages are held against their targets and signed")
            self.published = consortium.publish()

    @property
    def _told(self) -> Options:
        """What packages tell of everybody beside the records."""
        if not self._settings.tell:
            return ()
        traits = self._settings.traits
        return "--phenotype", declared_traits(traits.binary, traits.quantitative)[0].name

    @property
    def _about(self) -> Options:
        """What `afml evaluate` is told of the people, whoever asks."""
        genomes = self._settings.genomes
        return (
            "--data-kind", "vcf" if genomes.vcf else "simulated", "--phenotype", self._data / "phenotypes.json",
            "--seed", self._settings.seed, *(("--groups", genomes.people) if genomes.people else ()),
        )  # fmt: skip

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
