"""`afml evaluate`: attack and score the released files of a trial, pooled in one process; write the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from afml.api.verbs import Finished, assess
from afml.core.progress import console
from afml.evaluation.terminal import print_report

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--run", "run_file", type=_PATH, required=True, help="run.json")
@click.option("--work", "works", type=_PATH, multiple=True, required=True, help="Work folders, one per institution.")
@click.option("--out", type=_PATH, required=True, help="Folder for report.json and report.html.")
@click.option(
    "--phenotype",
    "about",
    type=_PATH,
    default=None,
    help="What `afml phenotypes` wrote beside its table; left out where nothing was simulated.",
)
@click.option("--aggregator", type=_PATH, required=True, help="The aggregator's data folder.")
@click.option("--data-kind", type=click.Choice(["simulated", "vcf"]), default="vcf", show_default=True)
@click.option("--seconds", type=_PATH, default=None, help="JSON of earlier steps' wall times.")
@click.option("--seed", default=1, show_default=True, help="Of reference profiles, random masks and attackers.")
def evaluate(
    run_file: Path, works: tuple[Path, ...], out: Path, about: Path | None, aggregator: Path,
    data_kind: Literal["simulated", "vcf"], seconds: Path | None, seed: int,
) -> None:  # fmt: skip
    """Attack and score the releases of WORK folders.

    Pools everybody in one process, which only a trial on open or simulated data may do: in a consortium
    each institution attacks its own file.
    """
    finished = Finished(run_file, works, aggregator, data_kind, about, seed)
    found = assess(finished, json.loads(seconds.read_text()) if seconds else {})
    found.write(out)
    print_report(found.report, found.plan.method, console, found.evaluation.details)
    if found.audited is not None:
        found.audited.require_sound()
