"""`afml demo`: a whole consortium on this machine, every party its own process, nothing mocked."""

from __future__ import annotations

from pathlib import Path

import click

from afml.core.progress import console
from afml.core.simulation import SIMULATION
from afml.evaluation.details import read_details
from afml.evaluation.report import read_json
from afml.evaluation.terminal import print_report
from afml.masking.settings import MOST_TRAITS
from afml.trial.demo import Demo
from afml.trial.settings import SIMULATED_PEOPLE, DemoSettings, Genomes, Rounds, Traits

_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(1)


@click.command()
@click.option("--out", type=_PATH, default=Path("runs/demo"), show_default=True)
@click.option("--vcf", type=_PATH, default=None, help="Real genotypes to split; simulated ones without it.")
@click.option("--panel", "people", type=_PATH, default=None, help="TSV of the people in --vcf.")
@click.option(
    "--cohorts", type=_PATH, default=None, help="Folder that tools/simulate_biobank.py filled: its genotypes instead."
)
@click.option(
    "--simulated-people", type=_COUNT, default=SIMULATED_PEOPLE, show_default=True,
    help="People to simulate where none of these is given.",
)  # fmt: skip
@click.option("--nodes", default=5, show_default=True)
@click.option("--panel-people", type=_COUNT, default=500, show_default=True, help="People of the public panel.")
@click.option("--sites", type=_COUNT, default=1024, show_default=True)
@click.option("--rounds", type=_COUNT, default=20, show_default=True, help="Private rounds of the risk model.")
@click.option(
    "--game-rounds",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Private rounds of masker and identifier.",
)
@click.option(
    "--game-steps", type=click.IntRange(0), default=300, show_default=True, help="Steps of the game on the panel."
)
@click.option(
    "--ple", type=click.FloatRange(0, min_open=True), default=0.9, show_default=True, help="Target PLE, in sigma."
)
@click.option("--causal", type=_COUNT, default=10, show_default=True, help="Causal sites of each simulated phenotype.")
@click.option(
    "--phenotypes", type=click.IntRange(0, MOST_TRAITS), default=1, show_default=True,
    help="Binary phenotypes in one release.",
)  # fmt: skip
@click.option(
    "--quantitative", type=click.IntRange(0, MOST_TRAITS), default=0, show_default=True,
    help="Quantitative ones beside them.",
)  # fmt: skip
@click.option("--covariates", is_flag=True, help="Sex and age cause a tenth of each, and are declared.")
@click.option("--patterns", type=_COUNT, default=None, help="Release patterns at most.  [default: of afml configure]")
@click.option("--heritability", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True)
@click.option(
    "--fill",
    type=click.Choice(["missing", "major"]),
    default="missing",
    show_default=True,
    help="What a masked genotype shows.",
)
@click.option("--noise", type=click.Choice(["distributed", "local"]), default="distributed", show_default=True)
@click.option("--exact-noise", is_flag=True, help="Noise that is proven, as with `afml configure`.")
@click.option("--verified-sums", is_flag=True, help="Nodes verify every sum, as with `afml configure`.")
@click.option(
    "--overlap", is_flag=True,
    help="Look for people at two institutions before the run, as with `afml overlap`, and leave them out at one.",
)  # fmt: skip
@click.option(
    "--declared-audit", is_flag=True,
    help="Play the run again with made-up people alone, as with `afml audit attack`, and enter the bound in a ledger.",
)  # fmt: skip
@click.option(
    "--publish/--no-publish", default=True, show_default=True,
    help="Each institution attacks its own file and publishes it: many minutes where files are large.",
)  # fmt: skip
@click.option(
    "--traits", "tell", is_flag=True,
    help="Packages tell the first phenotype by pseudonym, as with `afml mask --phenotype`; fewer patterns are left.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of data and attacks; of all with --simulation.")
@click.option(
    "--simulation",
    is_flag=True,
    help="Seed noise, held-out people and column order, too: the same figures each time, and no protection.",
)
def demo(
    out: Path, vcf: Path | None, people: Path | None, cohorts: Path | None, simulated_people: int, nodes: int,
    panel_people: int, sites: int, rounds: int, game_rounds: int, game_steps: int, ple: float, causal: int,
    phenotypes: int, quantitative: int, covariates: bool, patterns: int | None, heritability: float, fill: str,
    noise: str, exact_noise: bool, verified_sums: bool, overlap: bool, declared_audit: bool, seed: int,
    simulation: bool, publish: bool, tell: bool,
) -> None:  # fmt: skip
    """Run five institutions and an aggregator end to end and write the report."""
    trust = (*(["--verified-sums"] if verified_sums else ()), *(["--exact-noise"] if exact_noise else ()))
    settings = DemoSettings(
        out=out,
        genomes=Genomes(vcf, people, panel_people, nodes, sites, cohorts, simulated_people),
        traits=Traits(phenotypes, quantitative, causal, heritability, covariates),
        rounds=Rounds(rounds, game_rounds, game_steps, ple, noise, trust),
        seed=seed,
        simulation=simulation,
        fill=fill,
        patterns=patterns,
        overlap=overlap,
        declared_audit=declared_audit,
        publish=publish,
        tell=tell,
    )
    made = Demo(settings)
    if simulation:
        told = f"{SIMULATION}. Noise comes from --seed and can be replayed: nobody is protected"
        console.print(told, style="bold red")
    made.run()
    report = read_json(made.report)
    print_report(report, report.release.method, console, read_details(out / "details.json"))
    for node, line in made.published.items():
        console.print(f"node {node}: {line}", markup=False, soft_wrap=True)
    console.print(f"report: {out / 'report.html'} and {out / 'report.json'}", markup=False)
