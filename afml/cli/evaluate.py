"""`afml evaluate`: attack and score the released files of a trial, or any released VCF; write the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from afml.api.verbs import Finished, assess
from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, InputError
from afml.core.files import require_private
from afml.core.progress import console, step
from afml.evaluation.bench_report import bench_lines, write_bench
from afml.evaluation.limits import LIMITS
from afml.evaluation.terminal import print_report
from afml.ledger.snapshot import origin_in
from afml.trial.bench import BenchFiles, attack_files
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--run", "run_file", type=RUN_FILE, help="run.json")
@click.option("--work", "works", type=_PATH, multiple=True, help="Work folders, one per institution.")
@click.option("--own", type=_PATH, help="Your work folder: attack and score your own file alone.")
@click.option("--ledger", type=PRIVATE, help="With --own: your institution's one ledger.  [default: WORK/ledger]")
@click.option("--out", type=_PATH, required=True, help="Folder for report.json and report.html, or bench.json.")
@click.option(
    "--phenotype",
    "about",
    type=_PATH,
    default=None,
    help="What `afml phenotypes` wrote beside its table; left out where nothing was simulated.",
)
@click.option("--aggregator", type=_PATH, help="The aggregator's data folder.")
@click.option("--data-kind", type=click.Choice(["simulated", "vcf"]), default="vcf", show_default=True)
@click.option("--seconds", type=_PATH, default=None, help="JSON of earlier steps' wall times.")
@click.option("--seed", default=1, show_default=True, help="Of reference profiles, random masks and attackers.")
@click.option(
    "--groups",
    type=_PATH,
    default=None,
    help="TSV: sample, ..., super_pop. RR and membership by group; without it genotypes are clustered.",
)
@click.option(
    "--attribute", "attributes", multiple=True, metavar="NAME[=EDGE,...]",
    help="Also ask what records tell of this column, which the run does not declare; edges cut a number into bands.",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(1000), default=LIMITS.utility_people, show_default=True, metavar="PEOPLE",
    help="On how many people at most utility is measured; other samples follow in proportion, attacks ask about all.",
)  # fmt: skip
@click.option(
    "--attack-bench",
    "released",
    type=_PATH,
    multiple=True,
    help="Attack this released VCF, or the package (a folder) that holds it, of whatever tool; repeat it for several.",
)
@click.option("--people-vcf", type=_PATH, help="With --attack-bench: genotypes of the people it was made of.")
@click.option("--panel-vcf", type=_PATH, help="With --attack-bench: genotypes of other, public people.")
@click.option("--pairs", type=_PATH, help="With --attack-bench: TSV sample, person; by default equal names.")
@click.option("--sites", default=1024, show_default=True, help="With --attack-bench: most common sites compared.")
@click.option(
    "--force",
    is_flag=True,
    help="Write over a bench.json, or another's or another run's report.json, that lies in --out.",
)
def evaluate(
    run_file: Path | None, works: tuple[Path, ...], own: Path | None, ledger: Path | None, out: Path,
    about: Path | None, aggregator: Path | None, data_kind: Literal["simulated", "vcf"], seconds: Path | None,
    seed: int, groups: Path | None, released: tuple[Path, ...], people_vcf: Path | None, panel_vcf: Path | None,
    pairs: Path | None, sites: int, attributes: tuple[str, ...], sample: int, force: bool,
) -> None:  # fmt: skip
    """Attack and score the releases of WORK folders.

    Pools everybody in one process, which only a trial on open or simulated data may do.

    With --own, attack and score the file of one institution with what it holds itself. Who is kept out of training
    is held against its ledger: nobody whom the run was trained on is measured on. The report is exact
    about its people and stays there, also in WORK/assessments for `afml release publish`; `--task
    release-evaluation` of `afml configure` adds up what may leave.

    With --attack-bench, attack any released VCF: masked or synthetic genotypes, of AFML or of another tool.
    """
    if ledger and not own:
        raise ConfigError("goes with --own", where="--ledger", cure="leave it out")
    if released:
        if run_file or works or own or aggregator or attributes or people_vcf is None or panel_vcf is None:
            raise ConfigError(
                "attacks files, not a run", where="--attack-bench",
                cure="give --people-vcf and --panel-vcf, and no --run, --own, --work, --aggregator or --attribute",
            )  # fmt: skip
        bench = out / "bench.json"
        if bench.exists() and not force:
            raise InputError("is there already", where=bench, cure="give another --out, or --force")
        files = BenchFiles(released, people_vcf, panel_vcf, pairs, groups, sites, seed)
        with step("attack bench") as running:
            report = attack_files(files, running.note)
        write_bench(report, bench)
        for one in report.files:
            first, *rest = bench_lines(one)
            for what, value in (first, one.line, *rest):
                console.print(f"{what + ':':<32} {value}", markup=False, highlight=False, soft_wrap=True)
        return
    if own and (works or aggregator):
        raise ConfigError("is of one institution", where="--own", cure="leave out --work and --aggregator")
    if run_file is None or not (own or (works and aggregator)):
        cure = "give --run, and --own or both --work and --aggregator"
        raise ConfigError("no run to attack", where="afml evaluate", cure=cure)
    if own:
        works = (require_private(own),)
        require_private(out)
    if not force:
        _require_same(out / "report.json", run_file, ledger or Workspace(own).ledger if own else None)
    finished = Finished(run_file, works, aggregator, data_kind, about, seed, groups, attributes, sample, ledger)
    found = assess(finished, json.loads(seconds.read_text()) if seconds else {})
    found.write(out)
    print_report(found.report, found.plan.method, console, found.evaluation.details)
    if found.later:
        came = f"{found.later} people here were not in the run, and count with those trained on"
        console.print(came, markup=False, highlight=False, soft_wrap=True)
    if found.kept is not None:
        console.print(f"kept for `afml release publish`: {found.kept}", markup=False, highlight=False, soft_wrap=True)
    if found.audited is not None:
        found.audited.require_sound()


def _require_same(report: Path, run_file: Path, ledger: Path | None) -> None:
    """Refuse to write over a report of something else; a newer one of the same run and institutions replaces it.

    Args:
        report: Of before, if it is there.
        run_file: Of what is to be evaluated.
        ledger: Of the institution that evaluates its own file; None: it is about several.

    Raises:
        InputError: It is of another run or institution, or none of ours.
    """
    if not report.exists():
        return
    try:
        about = json.loads(report.read_text(encoding="utf-8"))["about"]
        of = (about["configuration"], about.get("institution"))
    except (ValueError, TypeError, KeyError):
        of = ("", None)
    if of != (RunConfig.load(run_file).digest().hex(), origin_in(ledger) if ledger else None):
        problem = "is there already, and of something else than this run at the same institutions"
        raise InputError(problem, where=report, cure="give another --out, or --force")
