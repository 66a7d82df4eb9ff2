"""`afml panel`: a public panel as one file that a consortium hands round, with a digest to compare."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import get_args

import click

from afml.core.files import require_other
from afml.core.progress import step
from afml.genomics.build import build_store
from afml.genomics.calls.account import CallReading
from afml.genomics.calls.quality import Filters, QualityPolicy
from afml.genomics.calls.site_calls import Rules
from afml.genomics.choice import SiteChoice, choose_sites
from afml.genomics.panelfile import Panel, difference, facts, read_panel, summary, write_panel
from afml.genomics.panels import panel_assembly
from afml.genomics.presets import CPG, PRESETS

_PATH = click.Path(path_type=Path)


@click.group()
def panel() -> None:
    """Public panels: made once, the same file at every institution (`afml prepare --site-panel`)."""


@panel.command()
@click.argument("source", metavar="FILE...", type=_PATH, nargs=-1, required=True)
@click.option("--out", type=_PATH, required=True, help="Panel file to write.")
@click.option("--sites", default=1024, show_default=True, type=click.IntRange(1), help="Most common sites to keep.")
@click.option("--min-maf", default=0.01, show_default=True, help="Smallest frequency in the panel.")
@click.option("--regions", multiple=True, help="Only there: a BED file, or 22:1000-2000,X; may be repeated.")
@click.option("--exclude", type=_PATH, multiple=True, help="BED of regions to leave out; may be repeated.")
@click.option(
    "--exclude-preset", type=click.Choice((*PRESETS, CPG)), multiple=True, help="Published regions, likewise."
)
@click.option(
    "--af-field",
    default=None,
    help="Without people: INFO field or column of the frequencies, or a preset such as gnomad-nfe.  [default: AF]",
)
@click.option("--annotations", type=_PATH, multiple=True, help="What VEP says of the sites; may be repeated.")
@click.option(
    "--filters", type=click.Choice(get_args(Filters)), default="pass", show_default=True, help="Records taken."
)
@click.option(
    "--fasta",
    type=_PATH,
    default=None,
    help="Reference by which indels are aligned, and that CpG-transitions needs; with its .fai.",
)
@click.option("--drawn-people", default=None, type=click.IntRange(2), help="People drawn then.  [default: 500]")
def create(
    source: tuple[Path, ...], out: Path, sites: int, min_maf: float, regions: tuple[str, ...],
    exclude: tuple[Path, ...], exclude_preset: tuple[str, ...], af_field: str | None, annotations: tuple[Path, ...],
    filters: Filters, fasta: Path | None, drawn_people: int | None,
) -> None:  # fmt: skip
    """Choose the sites of FILEs: people's genotypes, a VCF of allele frequencies, or a table of them."""
    require_other(out, [*source, *exclude, *annotations, *map(Path, regions)])
    choice = SiteChoice(
        sites, min_maf, exclude, af_field, drawn_people, annotations, filters, exclude_preset, fasta, regions
    )
    with step("making the panel") as running, tempfile.TemporaryDirectory() as scratch:
        running.note("choosing sites")
        assembly = panel_assembly(source, choice)
        chosen = choose_sites(source, choice)
        people = None
        if not chosen.panel.drawn_people:
            running.note("storing the panel's people")
            reading = CallReading(Rules(QualityPolicy(filters=choice.filters), assembly.build, fasta))
            people = build_store(source, chosen.panel, Path(scratch) / "panel.zarr", reading=reading)
        write_panel(out, chosen, people, assembly)
    _tell(read_panel(out))


@panel.command()
@click.argument("file", metavar="PANEL", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path, as_json: bool) -> None:
    """What PANEL holds: digest, sites, people, how the sites were chosen."""
    found = read_panel(file)
    found.require_whole()
    if as_json:
        click.echo(json.dumps(summary(found), indent=2, allow_nan=False))
        return
    _tell(found)


@panel.command()
@click.argument("one", type=_PATH)
@click.argument("other", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(one: Path, other: Path, as_json: bool) -> None:
    """How two panels differ; exit code 0 where they do not, else 1."""
    first, second = read_panel(one), read_panel(other)
    lines = difference(first, second)
    if as_json:
        told = {"same": not lines, "one": first.digest(), "other": second.digest(), "differences": lines}
        click.echo(json.dumps(told, indent=2))
    else:
        for line in lines or ["the same panel"]:
            click.echo(line)
    if lines:
        sys.exit(1)


def _tell(found: Panel) -> None:
    for what, value in facts(found):
        click.echo(f"{what}: {value}")
