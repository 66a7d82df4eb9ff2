"""`afml prepare`: an institution's genotypes become a work folder and a public card."""

from __future__ import annotations

from pathlib import Path

import click

from afml.core.progress import step
from afml.genomics.choice import AF_FIELD, DRAWN_PEOPLE
from afml.genomics.sites import SitePanel
from crypto.secret.nodekit import load_node_kit
from node.prepare import prepare as prepare_work
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--vcf", type=_PATH, required=True, help="This institution's genotypes.")
@click.option(
    "--panel-vcf", type=_PATH, required=True,
    help="The public panel, the same everywhere: people, or a VCF without samples that states allele frequencies.",
)
@click.option(
    "--panel-af-field", default=None, help=f"INFO field of those frequencies, one per ALT.  [default: {AF_FIELD}]"
)
@click.option(
    "--drawn-people", type=click.IntRange(2), default=None,
    help=f"People drawn from them, where the panel holds none.  [default: {DRAWN_PEOPLE}]",
)
@click.option(
    "--phenotypes", type=_PATH, default=None,
    help="TSV: sample, phenotype (0 or 1); or sample, name1, ...; left out for runs without traits.",
)
@click.option("--work", type=_PATH, required=True, help="Folder to prepare.")
@click.option("--exclude", type=_PATH, multiple=True, help="BED of regions to leave out; may be repeated.")
@click.option("--sites", default=1024, show_default=True, help="Most common sites to keep.")
@click.option("--min-maf", default=0.01, show_default=True, help="Smallest frequency in the panel.")
@click.option("--holdout", default=0.25, show_default=True, help="Fraction of people kept out of training.")
@click.option("--seed", default=None, type=int, help="Simulation only.")
def prepare(
    kit: Path, vcf: Path, panel_vcf: Path, phenotypes: Path | None, work: Path, exclude: tuple[Path, ...],
    sites: int, min_maf: float, holdout: float, seed: int | None, panel_af_field: str | None,
    drawn_people: int | None,
) -> None:  # fmt: skip
    """Choose sites on the panel, build the genotype stores, declare the enrolment on a signed card."""
    loaded = load_node_kit(kit)
    with step(f"preparing node {loaded.node}") as task:
        card = prepare_work(
            loaded, Workspace(work), vcf=vcf, panel_vcf=panel_vcf, phenotypes=phenotypes, exclude=exclude,
            sites=sites, min_maf=min_maf, holdout=holdout, seed=seed, progress=task,
            panel_af_field=panel_af_field, drawn_people=drawn_people,
        )  # fmt: skip
    panel = SitePanel.load(Workspace(work).site_panel)
    if panel.drawn_people:
        click.echo(panel.drawn_note)
    click.echo(
        f"node {card.node}: {card.sites} sites, {card.enrolled} people enrolled; card in {work / 'card.json'}"
    )
