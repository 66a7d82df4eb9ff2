"""`afml split` and `afml phenotypes`: make trial data out of one public VCF. Not for production cohorts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
import numpy as np

from afml.core.errors import InputError
from afml.core.files import staged_file
from afml.core.progress import step
from afml.genomics.partition import split as split_vcf
from afml.genomics.phenotypes import simulate_phenotype, write_phenotypes
from afml.genomics.sites import build_site_panel
from afml.genomics.store import build_store

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
        split_vcf(vcf, people, out, nodes=nodes, panel_people=panel_people, seed=seed, progress=task)


@click.command()
@click.argument("vcfs", type=_PATH, nargs=-1, required=True)
@click.option("--panel-vcf", type=_PATH, required=True, help="Public panel that chooses the sites.")
@click.option("--out", type=_PATH, required=True, help="phenotypes.tsv; its settings go beside it as .json.")
@click.option(
    "--sites", default=1024, show_default=True, help="Causal sites are drawn from the most common ones."
)
@click.option("--causal", default=10, show_default=True)
@click.option("--heritability", default=0.5, show_default=True)
@click.option("--seed", default=1, show_default=True)
def phenotypes(
    vcfs: tuple[Path, ...],
    panel_vcf: Path,
    out: Path,
    sites: int,
    causal: int,
    heritability: float,
    seed: int,
) -> None:
    """Simulate one binary phenotype over all people of VCFS: liability above its median."""
    if not 0 < heritability <= 1:
        raise InputError(f"{heritability} is not in (0, 1]", where="--heritability", cure="for example 0.5")
    out.parent.mkdir(parents=True, exist_ok=True)
    with step("simulating the phenotype") as task, tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        panel = build_site_panel(panel_vcf, sites=sites, progress=task)
        stores = [
            build_store(vcf, panel, Path(scratch) / f"{index}.zarr", progress=task)
            for index, vcf in enumerate(vcfs)
        ]
        samples = [name for store in stores for name in store.samples]
        dosage = np.concatenate([store.dosage() for store in stores])
        values, sites_used = simulate_phenotype(dosage, causal=causal, heritability=heritability, seed=seed)
    write_phenotypes(out, samples, values)
    about = {"simulated": True, "causal_sites": len(sites_used), "heritability": heritability, "seed": seed}
    with staged_file(out.with_suffix(".json")) as staged:
        staged.write_text(json.dumps(about, indent=2) + "\n")
    click.echo(f"phenotypes of {len(samples)} people in {out}: {int(values.sum())} cases (simulated)")
