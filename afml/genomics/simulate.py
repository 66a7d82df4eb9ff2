"""Simulating traits for the people of several VCFs, for experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.progress import Step
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.phenotypes import SEED_STEP, simulate_liability, simulate_phenotype


@dataclass(frozen=True)
class Liability:
    """How traits are simulated; see `afml.genomics.phenotypes.simulate_liability`.

    Attributes:
        sites: Causal sites are drawn from so many most common ones of the panel.
        causal: Causal sites of each trait.
        heritability: Share of a trait's variance that is due to them.
        seed: Of the first trait; the others' follow in steps of `SEED_STEP`.

    Raises:
        InputError: `heritability` is no such share.
    """

    sites: int = 1024
    causal: int = 10
    heritability: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.heritability <= 1:
            raise InputError(f"{self.heritability} is not in (0, 1]", where="--heritability", cure="for example 0.5")


def simulate_columns(
    vcfs: Sequence[Path],
    panel_vcf: Path,
    binary: Sequence[bool],
    model: Liability,
    scratch: Path,
    progress: Step | None = None,
) -> tuple[list[str], NDArray[np.float64]]:
    """Simulate traits over all people of all files together.

    Args:
        vcfs: One or several institutions' genotypes.
        panel_vcf: The public panel, which chooses the sites.
        binary: Of every trait, whether it is cases and controls or a number.
        model: How they are simulated.
        scratch: Folder for genotype stores, which the caller removes.
        progress: Advanced once per 1,000 records.

    Returns:
        (names of the people in the order of the files, float64 [people, traits]).

    Raises:
        InputError: An unreadable VCF, or one that lacks too many sites.
        ConfigError: As `simulate_liability`.
    """
    panel = build_site_panel(panel_vcf, SiteChoice(model.sites), progress=progress)
    stores = [build_store(vcf, panel, scratch / f"{index}.zarr", progress=progress) for index, vcf in enumerate(vcfs)]
    dosage = np.concatenate([store.dosage() for store in stores])
    columns = []
    for index, cases in enumerate(binary):
        simulate = simulate_phenotype if cases else simulate_liability
        seed = model.seed + SEED_STEP * index
        values, _ = simulate(dosage, causal=model.causal, heritability=model.heritability, seed=seed)
        columns.append(values.astype(np.float64))
    return [name for store in stores for name in store.samples], np.stack(columns, axis=1)
