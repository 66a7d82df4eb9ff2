"""Genotypes keep the contract of all kinds of data."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError
from afml.genomics.files import GenotypeFiles
from afml.genomics.kind import GENOTYPES, GenotypeOptions
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.public import agreed_panel, people_digest
from afml.genomics.store import GenotypeStore
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
    public = tmp_path / "kept" / "first" / "public"
    panel, people = agreed_panel(public, built.data)
    assert (panel.digest(), people_digest(people)) == (built.data.fingerprint, built.data.panel)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:30][::-1])  # the same sites, other people in the places of some
    other = keeps_the_contract("genotypes", options, tmp_path / "again").data
    assert other.fingerprint == built.data.fingerprint
    assert other.panel != built.data.panel
    with pytest.raises(ConfigError, match="people of the public panel differ from the run's"):
        agreed_panel(public, other)
    with pytest.raises(ConfigError, match="site panel differs from the run's"):
        agreed_panel(public, built.data.model_copy(update={"fingerprint": "ff"}))


def test_calls_are_piped_in_and_some_people_of_them_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dosage = simulate_dosage(60, 24, seed=3)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:40])
    names = write_vcf(tmp_path / "own.vcf.gz", dosage[40:], samples=[f"N{person}" for person in range(20)])
    some = [*names[15:], *names[:5]]
    (tmp_path / "some.txt").write_text("\n".join([*some, some[0]]) + "\n")
    given = {"panel_vcf": tmp_path / "panel.vcf.gz", "samples": tmp_path / "some.txt", "sites": 16}
    stores = []
    for place, vcf in (("file", tmp_path / "own.vcf.gz"), ("pipe", Path("-"))):
        with (tmp_path / "own.vcf.gz").open("rb") as piped:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(piped))
            options = GenotypeOptions.model_validate(given | {"vcf": vcf})
            built = GENOTYPES.build(tmp_path / place, options, lambda text: None)
        assert built.samples == tuple(some)
        stores.append(GenotypeStore.open(GenotypeFiles(tmp_path / place).cohort_store).dosage())
        assert not [path for path in (tmp_path / place).rglob(".*") if path.is_file()]
    assert np.array_equal(*stores)
    twice = GenotypeOptions.model_validate(given | {"vcf": (Path("-"), Path("-"))})
    with pytest.raises(InputError, match="is no pipe, or named twice"):
        GENOTYPES.build(tmp_path / "twice", twice, lambda text: None)
    (tmp_path / "some.txt").write_text("nobody\n")
    none = GenotypeOptions.model_validate(given | {"vcf": tmp_path / "own.vcf.gz"})
    with pytest.raises(InputError, match="lacks sample"):
        GENOTYPES.build(tmp_path / "none", none, lambda text: None)
    (tmp_path / "some.txt").write_text("")
    with pytest.raises(InputError, match=r"some\.txt: names nobody; .*--samples"):
        GENOTYPES.build(tmp_path / "none", none, lambda text: None)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"##fileformat=VCFv4.2\n")))
    plain = GenotypeOptions.model_validate({**given, "samples": None, "vcf": Path("-")})
    with pytest.raises(InputError, match=r"^--vcf -: VCF is not bgzipped"):
        GENOTYPES.build(tmp_path / "plain", plain, lambda text: None)
