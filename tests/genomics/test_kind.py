"""Genotypes keep the contract of all kinds of data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from afml.genomics.kind import GenotypeOptions
from afml.genomics.phenotypes import write_phenotypes
from tests.data.contract import keeps_the_contract
from tests.simulated import simulate_dosage, write_vcf


def test_genotypes(tmp_path: Path) -> None:
    dosage = simulate_dosage(40, 24, seed=3)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:30])
    names = write_vcf(tmp_path / "own.vcf.gz", dosage[30:], samples=[f"N{person}" for person in range(10)])
    write_phenotypes(tmp_path / "own.tsv", names, np.arange(10, dtype=np.int8) % 2)
    options = GenotypeOptions(
        vcf=tmp_path / "own.vcf.gz", panel_vcf=tmp_path / "panel.vcf.gz", phenotypes=tmp_path / "own.tsv", sites=16
    )
    built = keeps_the_contract("genotypes", options, tmp_path / "kept")
    assert built.samples == tuple(names)
    assert (built.columns.names, built.data.features) == (("phenotype",), 16)
