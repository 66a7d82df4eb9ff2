"""`afml mask`: write an institution's de-identified records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from afml.api.verbs import mask as mask_file
from afml.api.verbs import release_frontier
from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.nodekit import load_node_kit
from afml.core.cluster import on_cluster
from afml.core.errors import ConfigError
from afml.core.progress import step
from afml.genomics.release import Output
from afml.release.files import forms
from afml.release.method import AUTO, METHODS

if TYPE_CHECKING:
    from afml.release.frontier import FrontierPoint

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, required=True, help="Work folder with the trained model.")
@click.option("--run", "run_file", type=RUN_FILE, required=True, help="run.json, signed.")
@click.option("--method", type=click.Choice([AUTO, *METHODS.names()]), default=None, help="Default: the run's.")
@click.option(
    "--min-group-size",
    type=click.IntRange(1),
    default=None,
    help="People per released pattern, no fewer than the run's; default: these.",
)
@click.option(
    "--fill",
    type=click.Choice(["major", "missing"]),
    default=None,
    help="What a masked genotype shows: ./., or the panel's commoner allele twice; default: the run's (missing).",
)
@click.option(
    "--target-rr",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="Fewer patterns until attacks on panel people name at most this share; default: the run's, if it has one.",
)
@click.option("--patterns", type=click.IntRange(1), default=None, help="Released patterns at most; default: the run's.")
@click.option(
    "--frontier", is_flag=True, help="Say what more and fewer patterns would tell and give away; write nothing."
)
@click.option("--json", "as_json", is_flag=True, help="With --frontier: print JSON.")
@click.option("--form", type=click.Choice(forms()), default=None, help="Of the files.  [default: vcf; of a matrix tsv]")
@click.option("--per-contig", is_flag=True, help="A file for each contig.")
@click.option("--csi", is_flag=True, help="Index a VCF by CSI, not TBI; longer contigs than TBI holds always are.")
@click.option("--dask", help="Address of a Dask scheduler of this institution's, whose workers mask; or local.")
@click.option(
    "--nested", is_flag=True, help="Keep the groups of earlier releases of these people: tell apart within them alone."
)
@click.option(
    "--phenotype",
    "phenotypes",
    multiple=True,
    metavar="NAME[=EDGE,...]",
    help="Release this trait of everybody beside the records, a number in bins; k counts it (docs/RELEASE.md).",
)
@click.option("--force", is_flag=True, help="Release also where no trait can be expected to be told from it.")
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
def mask(
    kit: Path, work: Path, run_file: Path, method: str | None, min_group_size: int | None,
    fill: Literal["major", "missing"] | None, target_rr: float | None, patterns: int | None, frontier: bool,
    as_json: bool,
    form: str | None, per_contig: bool, csi: bool, dask: str | None, nested: bool,
    phenotypes: tuple[str, ...], force: bool, ledger: Path | None,
) -> None:  # fmt: skip
    """Mask everybody in this institution's store and write a package, the next version of releases/RUN/.

    It holds the records (release.vcf.gz, indexed; or another form), a card that says what they are good for and
    what not, the codebook, and a manifest with this institution's signature. No version is written over.
    """
    asked = {
        "method": method, "min_group_size": min_group_size, "fill": fill, "target_rr": target_rr, "patterns": patterns
    }  # fmt: skip
    changes = {key: value for key, value in asked.items() if value is not None}
    node = load_node_kit(kit).node
    if frontier:
        with nullcontext() if as_json else step("judging releases on public people"):
            points = release_frontier(kit=kit, work=work, run=run_file, changes=changes)
        if as_json:
            click.echo(json.dumps([asdict(one) for one in points], indent=2, allow_nan=False))
        else:
            _tell(points)
        return
    if as_json:
        raise ConfigError("goes with --frontier", where="--json", cure="release_card.json of the package says the rest")
    with step(f"masking node {node}"), on_cluster(dask, work):
        output = Output(form, per_contig=per_contig, csi=csi)
        # Workers were started elsewhere: a path must mean the same there.
        place = work if dask is None else work.absolute()
        done = mask_file(
            kit=kit, work=place, run=run_file, ledger=ledger, changes=changes, output=output, force=force,
            nested=nested, phenotypes=phenotypes,
        )  # fmt: skip
    result = done.released
    if done.blocks is not None:
        left = f", {done.left_out} people left out" if done.left_out else ""
        click.echo(f"node {node}: nested in {done.blocks} groups that earlier releases made of these people{left}")
    click.echo(f"node {node}: method {done.plan.reason}")
    if done.plan.at_chance:
        click.echo(f"node {node}: {done.plan.at_chance}; released nevertheless (--force)")
    for patterns, rr in done.plan.verified:
        click.echo(f"node {node}: attacked on panel people: {patterns} patterns, RR {100 * rr:.2g} %")
    click.echo(
        f"node {node}: {result.patterns_used} patterns, smallest group {done.smallest_group}, "
        f"{100 * result.retained_fraction:.2f} % of non-major genotypes shown: {', '.join(map(str, done.files))}"
    )
    click.echo(f"node {node}: package {done.version.folder}, version {done.version.number}")
    if not phenotypes and done.version.number == 1:
        told = "it tells no trait of anybody; a later release with --phenotype may single people out and be refused"
        click.echo(f"node {node}: {told}")


def _tell(points: Sequence[FrontierPoint]) -> None:
    click.echo("patterns  of the scores' variance  names at most, of all files / of the smallest one  method")
    for one in points:
        told, anywhere, known = 100 * one.explained, 100 * one.rr, 100 * one.rr_known
        click.echo(f"{one.patterns:8}  {told:21.1f} %  {anywhere:26.3g} % / {known:13.3g} %  {one.method:>16}")
