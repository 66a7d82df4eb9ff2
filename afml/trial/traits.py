"""Simulated traits of a trial: the phenotype table, how it was made, and what a run declares of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from afml.core.errors import InputError
from afml.core.files import staged_file
from afml.core.progress import Step
from afml.data.columns import Trait
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.simulate import COVARIATES, Liability, simulate_columns
from afml.masking.settings import MOST_TRAITS, RiskSettings


class Simulated(NamedTuple):
    """What was written.

    Attributes:
        people: How many.
        cases: Of every trait: its name, and how many cases it has; None for a number.
    """

    people: int
    cases: dict[str, int | None]


def declared_traits(binary: int, quantitative: int) -> tuple[Trait, ...]:
    """So many traits of each kind, as a run declares them: binary ones first.

    Quantitative ones are called `trait`, or `trait1`, `trait2`, ...; a simulated liability has mean 0 and variance 1.

    Raises:
        InputError: None, or more than a run learns.
    """
    if not 1 <= binary + quantitative <= MOST_TRAITS:
        raise InputError(
            f"no run learns {binary + quantitative} traits",
            where="--phenotypes and --quantitative",
            cure=f"ask for 1 to {MOST_TRAITS} in all",
        )
    names = ["trait"] if quantitative == 1 else [f"trait{number}" for number in range(1, quantitative + 1)]
    cases = RiskSettings(phenotypes=binary).declared if binary else ()
    return (*cases, *(Trait(name=name, kind="quantitative") for name in names))


def simulate_traits(
    vcfs: Sequence[Path], panel_vcf: Path, out: Path, traits: Sequence[Trait], model: Liability, progress: Step
) -> Simulated:
    """Simulate traits over all people of VCFs, and covariates beside them if the model has any, and write them.

    Beside `out`, `.json` says how they were simulated, and `.risk.json` is what `afml configure --risk` takes.

    Args:
        vcfs: The institutions' genotypes.
        panel_vcf: Public panel that chooses the sites.
        out: The phenotype table.
        traits: As a run declares them.
        model: How they are simulated.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable file.
        ConfigError: More causal sites than sites that vary.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    binary = [trait.kind == "binary" for trait in traits]
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        made = simulate_columns(vcfs, panel_vcf, binary, model, Path(scratch), progress)
    covariates = COVARIATES if model.covariates else ()
    names = [column.name for column in (*traits, *covariates)]
    write_phenotypes(out, made.samples, np.hstack([made.traits, made.covariates]), names)
    about = {
        "simulated": True, "causal_sites": model.causal, "heritability": model.heritability, "seed": model.seed,
    }  # fmt: skip
    with staged_file(out.with_suffix(".json")) as staged:
        staged.write_text(json.dumps(about, indent=2) + "\n")
    risk = RiskSettings(traits=tuple(traits), covariates=covariates)
    with staged_file(out.with_suffix(".risk.json")) as staged:
        staged.write_text(risk.model_dump_json(indent=2) + "\n")
    cases = {
        trait.name: int(column.sum()) if trait.kind == "binary" else None
        for trait, column in zip(traits, made.traits.T, strict=True)
    }
    return Simulated(len(made.samples), cases)
