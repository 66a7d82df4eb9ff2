"""Simulating traits for the people of several VCFs, for experiments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.core.progress import Step
from afml.data.columns import Column
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.liability import SEED_STEP, Causes, Moments, cases_of
from afml.genomics.store import GenotypeStore, people_at_once

#: Simulated covariates, with the public scale that a run declares of them.
COVARIATES = (Column(name="sex", centre=0.5, spread=0.5), Column(name="age", centre=55.0, spread=9.0))


@dataclass(frozen=True)
class Liability:
    """How traits are simulated; see `afml.genomics.liability.Causes`.

    Attributes:
        sites: Causal sites are drawn from so many most common ones of the panel.
        causal: Causal sites of each trait.
        heritability: Share of a trait's variance that is due to them.
        seed: Of the first trait; the others' follow in steps of `SEED_STEP`.
        covariates: Whether sex and age cause a part of each, too.

    Raises:
        InputError: `heritability` is no such share.
    """

    sites: int = 1024
    causal: int = 10
    heritability: float = 0.5
    seed: int = 1
    covariates: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.heritability <= 1:
            raise InputError(f"{self.heritability} is not in (0, 1]", where="--heritability", cure="for example 0.5")


@dataclass(frozen=True, eq=False)
class SimulatedColumns:
    """What was simulated, rows in the order of the files.

    Attributes:
        samples: Names of the people.
        traits: float64 [people, traits].
        covariates: As in `COVARIATES`, float64 [people, 2]; no column where there are none.
    """

    samples: list[str]
    traits: NDArray[np.float64]
    covariates: NDArray[np.float64]


def simulate_columns(
    vcfs: Sequence[Path],
    panel_vcf: Path,
    binary: Sequence[bool],
    model: Liability,
    scratch: Path,
    progress: Step | None = None,
) -> SimulatedColumns:
    """Simulate traits over all people of all files together, holding no genotypes but those at causal sites.

    Args:
        vcfs: One or several institutions' genotypes.
        panel_vcf: The public panel, which chooses the sites.
        binary: Of every trait, whether it is cases and controls or a number.
        model: How they are simulated.
        scratch: Folder for genotype stores, which the caller removes.
        progress: Advanced once per 1,000 records.

    Raises:
        InputError: An unreadable VCF, or one that lacks too many sites.
        ConfigError: As `Causes`.
    """
    panel = build_site_panel(panel_vcf, SiteChoice(model.sites), progress=progress)
    stores = [build_store(vcf, panel, scratch / f"{index}.zarr", progress=progress) for index, vcf in enumerate(vcfs)]
    moments = Moments.of(block for store in stores for block in _blocks(store))
    causes = [
        Causes(moments, causal=model.causal, heritability=model.heritability, seed=model.seed + SEED_STEP * number)
        for number in range(len(binary))
    ]
    wanted = np.unique(np.concatenate([one.sites for one in causes]))
    dosage = np.concatenate([block[:, wanted] for store in stores for block in _blocks(store)])
    beside = _covariates(len(dosage), model.seed)
    scaled = (beside - beside.mean(axis=0)) / beside.std(axis=0) if model.covariates else None
    columns = []
    for one, cases in zip(causes, binary, strict=True):
        liability = one.liability(dosage[:, np.searchsorted(wanted, one.sites)], scaled)
        columns.append(cases_of(liability).astype(np.float64) if cases else liability)
    samples = [name for store in stores for name in store.samples]
    return SimulatedColumns(samples, np.stack(columns, axis=1), beside if model.covariates else beside[:, :0])


def _covariates(people: int, seed: int) -> NDArray[np.float64]:
    """Sex, and age as in a biobank that recruits from 40 to 69, [people, 2]."""
    rng = np.random.default_rng([seed, SEED_STEP])
    return np.stack([rng.integers(0, 2, people), rng.integers(40, 70, people)], axis=1).astype(np.float64)


def _blocks(store: GenotypeStore) -> Iterator[NDArray[np.int8]]:
    for rows in people_at_once(store):
        yield store.dosage(rows)
