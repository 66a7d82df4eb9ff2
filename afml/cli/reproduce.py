"""`afml reproduce`: the study of docs/ANALYSIS_PLAN.md, resumable; writes results/."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import click

from afml.core.errors import ReleaseError
from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.study.attacked import table, under_attack
from afml.study.attributes import measure_attributes
from afml.study.attributes import table as attributes_table
from afml.study.design import FederatedRuns
from afml.study.reproduction import begun, check_quick, quick_data, real_design, write_results
from afml.study.runner import Places, make_runs
from afml.study.small import Cell
from afml.study.small_grid import SmallPlaces, grid, make_small, write_small
from afml.study.summary import bars
from afml.study.tables import verdict

_PATH = click.Path(path_type=Path)
Grid = Literal["full", "extended", "quick", "attacks", "attributes", "small", "small-full"]


@click.command()
@click.option("--data", type=_PATH, default=None, help="Folder of the 1000 Genomes exomes.")
@click.option(
    "--grid",
    "which",
    type=click.Choice(get_args(Grid)),
    default="full",
    show_default=True,
)
@click.option("--out", type=_PATH, default=Path("results"), show_default=True)
@click.option("--cache", type=_PATH, default=Path("build/study"), show_default=True, help="Prepared data.")
@click.option("--workers", default=2, show_default=True, help="Runs at a time, one thread each.")
@click.option(
    "--federated", type=click.Choice(["each", "one", "none"]), default="each", show_default=True,
    help="Configurations whose first run also goes through the encrypted federation.",
)  # fmt: skip
@click.option("--seeds", default=None, help="Phenotype seeds, e.g. 1001,1002; default: those of the plan.")
@click.option("--limit", default=None, type=int, help="Make at most this many runs (of small: cells) now.")
@click.option("--report-only", is_flag=True, help="Write tables and figures of the runs that are there.")
def reproduce(
    data: Path | None, which: Grid, out: Path, cache: Path, workers: int,
    federated: FederatedRuns, seeds: str | None, limit: int | None, report_only: bool,
) -> None:  # fmt: skip
    """Run the grid, two runs at a time; what is in OUT/runs already is not made again."""
    out, cache = out.resolve(), cache.resolve()
    places = Places(data, cache, out / "runs")
    if which == "quick":
        _quick(places, workers)
        return
    if which == "attacks":
        _attacks(places, out)
        return
    if which == "attributes":
        _attributes(places, out)
        return
    if which in ("small", "small-full"):
        cells = grid(data is not None, full=which == "small-full")
        _small(cells, SmallPlaces(data, cache), out, workers, 0 if report_only else limit)
        return
    chosen = tuple(int(seed) for seed in seeds.split(",")) if seeds else None
    design = real_design(places, click.echo)
    full = design.full(federated, chosen) if chosen else design.full(federated)
    # Once the extended grid is begun, both are reported, whichever is asked for.
    both = (chosen, chosen) if chosen else ()
    with_extended = which == "extended" or begun(design.extended_names(*both), places.runs)
    extended = design.extended(*both) if with_extended else []
    wanted, everything = (full if which == "full" else extended), [*full, *extended]
    failed: Sequence[tuple[str, str]] = ()
    if not report_only:
        made = make_runs(
            wanted[:limit], places, workers=workers, say=click.echo,
            each=lambda: write_results(everything, out, figures=False),
        )  # fmt: skip
        failed = made.failed
    records = write_results(everything, out)
    click.echo(f"{SIMULATION}: the noise of a study comes from seeds; PLE is that of the same runs without")
    for bar in bars(records):
        click.echo(f"{verdict(bar):12} {bar.what}: {bar.value:.4g}  ({', '.join(bar.group)})")
    click.echo(f"{len(records)} of {len(everything)} runs in {out / 'reproduce.json'}, {out / 'tables.md'}")
    for name, why in failed:
        click.echo(f"afml: {name} failed: {why}", err=True)
    if failed:
        sys.exit(1)


def _attacks(places: Places, out: Path) -> None:
    report = under_attack(places, click.echo)
    write_bytes(out / "attacks.json", (report.model_dump_json(indent=2) + "\n").encode())
    write_bytes(out / "attacks.md", table(report).encode())
    click.echo(table(report))


def _attributes(places: Places, out: Path) -> None:
    found = measure_attributes(places, click.echo)
    write_bytes(out / "attributes.json", (found.model_dump_json(indent=2) + "\n").encode())
    write_bytes(out / "attributes.md", attributes_table(found).encode())
    click.echo(attributes_table(found))


def _small(cells: Sequence[Cell], places: SmallPlaces, out: Path, workers: int, limit: int | None) -> None:
    for _ in make_small(cells[:limit], places, workers=workers, say=click.echo):
        write_small(out, cells, places)
    found = write_small(out, cells, places)
    held = sum(one.reached for one in found)
    click.echo(
        f"{held} of {len(found)} cells reach the bar, {len(cells) - len(found)} were not run: {out / 'small.md'}"
    )


def _quick(places: Places, workers: int) -> None:
    real = quick_data(places.source)
    if real is None:
        click.echo("no real genomes (set DATA=FOLDER): SKIPPING the real-data run, simulating both")
    found = check_quick(real, places, workers=workers, say=click.echo)
    for line in found:
        click.echo(f"afml: {line}", err=True)
    if found:
        where = str(places.runs.parent)
        raise ReleaseError(f"{len(found)} checks of the quick grid failed", where=where, cure="see above")
    click.echo("quick grid: every check passed")
