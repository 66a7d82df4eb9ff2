"""`afml split` and `afml phenotypes`: make trial data out of one public VCF. Not for production cohorts."""

from __future__ import annotations

from pathlib import Path

import click

from afml.core.errors import InputError
from afml.core.progress import step
from afml.genomics.partition import Parts
from afml.genomics.partition import split as split_vcf
from afml.genomics.simulate import Liability
from afml.trial.traits import declared_traits, simulate_traits

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("vcf", type=_PATH)
@click.option("--people", type=_PATH, required=True, help="TSV: sample, population, ...")
@click.option("--out", type=_PATH, required=True)
@click.option("--nodes", default=5, show_default=True)
@click.option("--panel-people", default=500, show_default=True)
@click.option("--seed", default=1, show_default=True)
def split(vcf: Path, people: Path, out: Path, nodes: int, panel_people: int, seed: int) -> None:
    """Split VCF into a public panel and NODES institutions, people drawn at random within populations."""
    with step("splitting the VCF") as task:
        split_vcf(vcf, people, out, Parts(nodes, panel_people), seed=seed, progress=task)


@click.command()
@click.argument("vcfs", type=_PATH, nargs=-1, required=True)
@click.option("--panel-vcf", type=_PATH, required=True, help="Public panel that chooses the sites.")
@click.option(
    "--out",
    type=_PATH,
    required=True,
    help="phenotypes.tsv; beside it .json says how they were simulated, and `afml configure --risk` takes .risk.json.",
)
@click.option("--sites", default=1024, show_default=True, help="Causal sites are drawn from the most common ones.")
@click.option("--causal", default=10, show_default=True, help="Causal sites of each.")
@click.option("--heritability", default=0.5, show_default=True)
@click.option("--phenotypes", "binary", type=click.IntRange(0), default=1, show_default=True, help="Binary ones.")
@click.option("--quantitative", type=click.IntRange(0), default=0, show_default=True, help="Quantitative ones.")
@click.option("--covariates", is_flag=True, help="Sex and age beside them, which cause a tenth of each.")
@click.option("--seed", default=1, show_default=True)
@click.option("--force", is_flag=True, help="Write over a table that lies in --out.")
def phenotypes(
    vcfs: tuple[Path, ...],
    panel_vcf: Path,
    out: Path,
    sites: int,
    causal: int,
    heritability: float,
    binary: int,
    quantitative: int,
    covariates: bool,
    seed: int,
    force: bool,
) -> None:
    """Simulate phenotypes over all people of VCFS: a liability, or (binary) whether it is above its median."""
    if out.exists() and not force:
        raise InputError("is there already", where=out, cure="give another --out, or --force")
    model = Liability(sites, causal, heritability, seed, covariates)
    traits = declared_traits(binary, quantitative)
    with step("simulating the phenotype") as task:
        made = simulate_traits(vcfs, panel_vcf, out, traits, model, task)
    told = ", ".join(
        f"{name}: a number" if cases is None else f"{name}: {cases} cases" for name, cases in made.cases.items()
    )
    click.echo(f"phenotypes of {made.people} people in {out} (simulated): {told}")
