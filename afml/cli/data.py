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
from afml.core.run import MOST_TRAITS, RiskSettings, Trait
from afml.genomics.choice import build_site_panel
from afml.genomics.partition import split as split_vcf
from afml.genomics.phenotypes import SEED_STEP, simulate_liability, simulate_phenotype, write_phenotypes
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
@click.option(
    "--out", type=_PATH, required=True,
    help="phenotypes.tsv; beside it .json says how they were simulated, and `afml configure --risk` takes .risk.json.",
)
@click.option(
    "--sites", default=1024, show_default=True, help="Causal sites are drawn from the most common ones."
)
@click.option("--causal", default=10, show_default=True, help="Causal sites of each.")
@click.option("--heritability", default=0.5, show_default=True)
@click.option("--phenotypes", "binary", type=click.IntRange(0), default=1, show_default=True, help="Binary ones.")
@click.option("--quantitative", type=click.IntRange(0), default=0, show_default=True, help="Quantitative ones.")
@click.option("--seed", default=1, show_default=True)
def phenotypes(
    vcfs: tuple[Path, ...],
    panel_vcf: Path,
    out: Path,
    sites: int,
    causal: int,
    heritability: float,
    binary: int,
    quantitative: int,
    seed: int,
) -> None:
    """Simulate phenotypes over all people of VCFS: a liability, or (binary) whether it is above its median."""
    if not 0 < heritability <= 1:
        raise InputError(f"{heritability} is not in (0, 1]", where="--heritability", cure="for example 0.5")
    if not 1 <= binary + quantitative <= MOST_TRAITS:
        raise InputError(
            f"no run learns {binary + quantitative} traits", where="--phenotypes and --quantitative",
            cure=f"ask for 1 to {MOST_TRAITS} in all",
        )  # fmt: skip
    traits = (*(RiskSettings(phenotypes=binary).declared if binary else ()), *_quantitative(quantitative))
    risk = RiskSettings(traits=traits)
    out.parent.mkdir(parents=True, exist_ok=True)
    with step("simulating the phenotype") as task, tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        panel = build_site_panel(panel_vcf, sites=sites, progress=task)
        stores = [
            build_store(vcf, panel, Path(scratch) / f"{index}.zarr", progress=task)
            for index, vcf in enumerate(vcfs)
        ]
        samples = [name for store in stores for name in store.samples]
        dosage = np.concatenate([store.dosage() for store in stores])
        columns = []
        for index, trait in enumerate(traits):
            simulate = simulate_liability if trait.kind == "quantitative" else simulate_phenotype
            values, _ = simulate(dosage, causal=causal, heritability=heritability, seed=seed + SEED_STEP * index)
            columns.append(values.astype(np.float64))
    write_phenotypes(out, samples, np.stack(columns, axis=1), [trait.name for trait in traits])
    about = {"simulated": True, "causal_sites": causal, "heritability": heritability, "seed": seed}
    with staged_file(out.with_suffix(".json")) as staged:
        staged.write_text(json.dumps(about, indent=2) + "\n")
    with staged_file(out.with_suffix(".risk.json")) as staged:
        staged.write_text(risk.model_dump_json(indent=2) + "\n")
    told = ", ".join(
        f"{trait.name}: {int(column.sum())} cases" if trait.kind == "binary" else f"{trait.name}: a number"
        for trait, column in zip(traits, columns, strict=True)
    )
    click.echo(f"phenotypes of {len(samples)} people in {out} (simulated): {told}")


def _quantitative(count: int) -> tuple[Trait, ...]:
    """Traits called `trait`, or `trait1`, `trait2`, ...; a simulated liability has mean 0 and variance 1."""
    names = ["trait"] if count == 1 else [f"trait{number}" for number in range(1, count + 1)]
    return tuple(Trait(name=name, kind="quantitative") for name in names)
