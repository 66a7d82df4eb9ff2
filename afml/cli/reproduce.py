"""`afml reproduce`: the study of docs/ANALYSIS_PLAN.md, resumable; writes results/."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import click

from afml.cli.configure import plan_phases
from afml.cli.federated_run import federate
from afml.core.errors import ReleaseError
from afml.core.files import write_bytes
from afml.core.run import GameSettings, Phase
from afml.evaluation.study import regression
from afml.evaluation.study.data import DataSettings, exomes, file_digest, load
from afml.evaluation.study.figures import write_figures
from afml.evaluation.study.grid import Job, collect, run_grid, stale
from afml.evaluation.study.jobs import QUICK_SITES, FederatedRuns, Grid, quick
from afml.evaluation.study.quick import complaints
from afml.evaluation.study.record import RunRecord
from afml.evaluation.study.summary import bars, write_summary
from afml.evaluation.study.tables import verdict, write_tables

_PATH = click.Path(path_type=Path)
RISK_ROUNDS = 20


@cache
def phases(
    ple: float, sites: int, share: float, game_rounds: int, phenotypes: int, game: GameSettings | None = None
) -> tuple[Phase, ...]:
    """The product's own plan of private phases: 20 rounds, one reserved attempt."""
    return plan_phases(
        ple=ple, delta=1e-5, rounds=RISK_ROUNDS, game_rounds=game_rounds, game_share=share, reserve=1, sites=sites,
        phenotypes=phenotypes, game=game,
    )  # fmt: skip


@click.command()
@click.option("--data", type=_PATH, default=None, help="Folder of the 1000 Genomes exomes.")
@click.option("--grid", "which", type=click.Choice(["full", "extended", "quick"]), default="full", show_default=True)
@click.option("--out", type=_PATH, default=Path("results"), show_default=True)
@click.option("--cache", type=_PATH, default=Path("build/study"), show_default=True, help="Prepared data.")
@click.option("--workers", default=2, show_default=True, help="Runs at a time, one thread each.")
@click.option(
    "--federated", type=click.Choice(["each", "one", "none"]), default="each", show_default=True,
    help="Configurations whose first run also goes through the encrypted federation.",
)  # fmt: skip
@click.option("--seeds", default=None, help="Phenotype seeds, e.g. 1001,1002; default: those of the plan.")
@click.option("--limit", default=None, type=int, help="Make at most this many runs now.")
@click.option("--report-only", is_flag=True, help="Write tables and figures of the runs that are there.")
def reproduce(
    data: Path | None, which: Literal["full", "extended", "quick"], out: Path, cache: Path, workers: int,
    federated: FederatedRuns, seeds: str | None, limit: int | None, report_only: bool,
) -> None:  # fmt: skip
    """Run the grid, two runs at a time; what is in OUT/runs already is not made again."""
    out, cache = out.resolve(), cache.resolve()
    if which == "quick":
        _quick(data, out, cache, workers)
        return
    chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else None
    grid = _grid(data, cache)
    full = grid.full(federated, chosen) if chosen else grid.full(federated)
    # Once the extended grid is begun, both are reported, whichever is asked for.
    both = (chosen, chosen) if chosen else ()
    begun = grid.extended_names(*both) & {path.stem for path in (out / "runs").glob("*.json")}
    extended = grid.extended(*both) if which == "extended" or begun else []
    wanted, everything = (full if which == "full" else extended), [*full, *extended]
    failed: Sequence[tuple[str, str]] = ()
    if not report_only:
        made = run_grid(
            wanted[:limit], source=data, cache=cache, folder=out / "runs", workers=workers, say=click.echo,
            each=lambda: _report(everything, out, figures=False),
        )  # fmt: skip
        failed = made.failed
    records = _report(everything, out)
    for bar in bars(records):
        click.echo(f"{verdict(bar):12} {bar.what}: {bar.value:.4g}  ({', '.join(bar.group)})")
    click.echo(f"{len(records)} of {len(everything)} runs in {out / 'reproduce.json'}, {out / 'tables.md'}")
    for name, why in failed:
        click.echo(f"afml: {name} failed: {why}", err=True)
    if failed:
        sys.exit(1)


def _grid(data: Path | None, cache: Path) -> Grid:
    vcf, _ = exomes(data or Path("."))
    settings = DataSettings(kind="vcf", source=file_digest(vcf), sites=1024)

    def count(sites: int) -> int:
        if sites == settings.sites:
            return sites
        there = load(settings.model_copy(update={"sites": sites}), source=data, cache=cache, note=click.echo)
        return len(there.panel)

    return Grid(settings, phases, count, federate)


def _report(jobs: Sequence[Job], out: Path, *, figures: bool = True) -> tuple[RunRecord, ...]:
    """Write everything that follows from the runs that are there."""
    records = collect(jobs, out / "runs")
    names = {record.name for record in records}
    missing = [job.settings.name for job in jobs if job.settings.name not in names]
    found = regression.describe(records)
    write_summary(out / "reproduce.json", records, missing=missing, regression=found)
    write_tables(out / "tables.md", records, missing=missing, stale=stale(records), title="Results of the study")
    if found is not None:
        write_bytes(out / "regression.txt", (regression.table(records) + "\n").encode())
    if records and figures:
        write_figures(out / "figures", records)
    return records


def _quick(data: Path | None, out: Path, cache: Path, workers: int) -> None:
    real = None
    if data is not None and data.is_dir():
        real = DataSettings(kind="vcf", source=file_digest(exomes(data)[0]), sites=QUICK_SITES)
    else:
        click.echo("no real genomes (set DATA=FOLDER): SKIPPING the real-data run, simulating both")
    made = run_grid(
        quick(phases, real), source=data, cache=cache, folder=out / "runs", workers=workers, say=click.echo
    )  # fmt: skip
    found = [f"{name}: {why}" for name, why in made.failed]
    found += [f"{record.name}: {complaint}" for record in made.records for complaint in complaints(record)]
    for line in found:
        click.echo(f"afml: {line}", err=True)
    if found:
        raise ReleaseError(f"{len(found)} checks of the quick grid failed", where=str(out), cure="see above")
    click.echo("quick grid: every check passed")
