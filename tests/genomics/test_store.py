"""The genotype store: dosage as in the VCF, whatever the VCF's form; VCF Zarr in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from afml.core.errors import InputError, IntegrityError
from afml.genomics import build
from afml.genomics.build import build_store
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.genomics.vcf_zarr import SCHEMA
from tests.simulated import simulate_dosage, simulate_panel, write_records, write_vcf


@pytest.fixture
def dosage() -> np.ndarray:
    values = simulate_dosage(70, 90, seed=4)
    values[np.random.default_rng(1).random(values.shape) < 0.03] = -1
    return values


@pytest.fixture
def panel(dosage: np.ndarray) -> SitePanel:
    return simulate_panel(np.maximum(dosage, 0))


def small_panel(rows: list[tuple[str, int, str, str]], minor_is_alt: list[bool] | None = None) -> SitePanel:
    return SitePanel(
        chrom=[row[0] for row in rows],
        pos=np.asarray([row[1] for row in rows], dtype=np.int64),
        ref=[row[2] for row in rows],
        alt=[row[3] for row in rows],
        minor_is_alt=np.asarray(minor_is_alt or [True] * len(rows)),
        maf=np.full(len(rows), 0.3),
        annotations=np.zeros((len(rows), 4), dtype=np.float32),
    )


def test_dosage_comes_back_for_any_batch_of_people(
    tmp_path: Path, dosage: np.ndarray, panel: SitePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_SITES_PER_CHUNK", 16)
    monkeypatch.setattr(build, "_PEOPLE_PER_CHUNK", 32)
    monkeypatch.setattr(build, "_PIECE_BYTES", 2 * 70 * 5)  # five sites
    names = write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel, chrom="chr22")
    store = build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store")
    assert (store.samples, len(store), store.absent_sites) == (names, 70, 0)
    assert np.array_equal(store.dosage(), dosage)
    assert store.dosage().dtype == np.int8
    for people in (
        slice(10, 50),
        np.array([5]),
        np.array([60, 2, 2, 33]),
        np.array([], dtype=np.int64),
        slice(0, 0),
    ):
        assert np.array_equal(store.dosage(people), dosage[people])
    again = GenotypeStore.open(tmp_path / "store", panel)
    assert again.panel.digest() == panel.digest()
    assert np.array_equal(again.dosage(np.arange(70)), dosage)
    assert "people=70" in repr(again)
    assert "S1" not in repr(again)


def test_every_array_of_the_schema_is_there_as_declared(tmp_path: Path, dosage: np.ndarray, panel: SitePanel) -> None:
    write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel)
    build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store")
    group = zarr.open_group(str(tmp_path / "store"), mode="r")
    assert set(group.array_keys()) == {spec.name for spec in SCHEMA}
    for spec in SCHEMA:
        array = group[spec.name]
        assert isinstance(array, zarr.Array)
        assert array.metadata.dimension_names == spec.dimensions
        assert array.attrs["description"] == spec.description
        assert spec.dtype is str or array.dtype == np.dtype(spec.dtype)


def test_unsorted_vcf_fills_every_block(
    tmp_path: Path, dosage: np.ndarray, panel: SitePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_SITES_PER_CHUNK", 8)
    alt = panel.to_minor(dosage)
    text = {0: "0/0", 1: "1|0", 2: "1/1", -1: "./1"}
    rows = [
        " ".join(
            [
                *map(str, panel.key(site)[:2]),
                ".",
                *panel.key(site)[2:],
                ". . . GT",
                *(text[int(c)] for c in alt[:, site]),
            ]
        )
        for site in np.random.default_rng(0).permutation(len(panel))
    ]
    write_records(tmp_path / "node.vcf.gz", rows, [f"S{person}" for person in range(70)])
    assert np.array_equal(build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store").dosage(), dosage)


def test_multi_allelic_exchanged_and_repeated_records(tmp_path: Path) -> None:
    panel = small_panel(
        [("22", 10, "A", "C"), ("22", 10, "A", "T"), ("22", 20, "A", "G"), ("22", 30, "A", "T"),
         ("22", 40, "CAA", "C"), ("22", 50, "A", "G"), ("22", 60, "A", "G")],
        [True, True, True, True, True, False, True],
    )  # fmt: skip
    rows = [
        "22 10 . A C,T . . . GT 0/1 1/2 2/2 0/.",  # one record, two panel sites
        "22 20 . G A,C . . . GT 0/0 0/1 1/2 0/2",  # REF and ALT exchanged: copies of G
        "22 30 . T A . . . GT 0/0 0/1 1/1 0/0",  # exchanged A/T: the strand is not known
        "22 39 . GCAAA GCA . . . GT 0/0 0/1 1/1 .",  # the same deletion, written longer
        "22 50 . A G . . . GT 0/0 0/1 1/1 ./.",  # the panel-minor allele is REF
        "22 60 . A G . . . GT 0/1 0/1 0/1 0/1",
        "22 60 . A G . . . GT 1/1 0/1 ./. 0/0",  # repeated: what both say
    ]
    write_records(tmp_path / "node.vcf.gz", rows, ["a", "b", "c", "d"])
    store = build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store", max_absent=0.2)
    assert store.absent_sites == 1
    assert store.dosage().T.tolist() == [
        [1, 1, 0, -1],
        [0, 1, 2, -1],
        [2, 1, 0, 1],
        [-1, -1, -1, -1],
        [0, 1, 2, -1],
        [2, 1, 0, -1],
        [-1, 1, 1, -1],
    ]


def test_absent_sites_are_missing_and_too_many_are_refused(
    tmp_path: Path, dosage: np.ndarray, panel: SitePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_PIECE_BYTES", 2 * 70 * 5)  # five sites
    vcf, out = tmp_path / "node.vcf.gz", tmp_path / "store"
    write_vcf(vcf, panel.to_minor(dosage), panel=panel, keep=range(3, 90))
    store = build_store(vcf, panel, out)
    assert store.absent_sites == 3
    assert (store.dosage()[:, :3] == -1).all()
    assert np.array_equal(store.dosage()[:, 3:], dosage[:, 3:])
    write_vcf(vcf, panel.to_minor(dosage), panel=panel, keep=range(10, 90))
    with pytest.raises(InputError, match=r"lacks 10 of the panel's 90 sites \(first 22:1000 .*more than 5%"):
        build_store(vcf, panel, out)
    assert GenotypeStore.open(out).absent_sites == 3  # the refused build left the old store whole
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    write_vcf(vcf, panel.to_minor(dosage), panel=panel, chrom="chr7")
    with pytest.raises(InputError, match=r"shares no contig with the site panel \('chr7' here, '22' there\)"):
        build_store(vcf, panel, out)


def test_a_store_made_elsewhere_opens_with_the_panel(tmp_path: Path, dosage: np.ndarray, panel: SitePanel) -> None:
    # The layout of vcf2zarr: Zarr v2, every record of the file, padded alleles, more ploidy codes.
    people, sites = dosage.shape
    calls = np.zeros((2 * sites, people, 2), dtype=np.int8)
    alt = panel.to_minor(dosage).T  # [S, people]
    calls[1::2, :, 0] = np.where(alt < 0, -1, alt >= 1)
    calls[1::2, :, 1] = np.where(alt < 0, -2, alt == 2)
    alleles = np.full((2 * sites, 3), "", dtype=object)
    alleles[0::2, :2] = ["A", "<DEL>"]
    alleles[1::2, 0], alleles[1::2, 1] = panel.ref, panel.alt
    group = zarr.open_group(str(tmp_path / "cohort.vcz"), mode="w", zarr_format=2)
    group.attrs["vcf_zarr_version"] = "0.4"
    for name, data in {
        "call_genotype": calls,
        "sample_id": np.asarray([f"S{person}" for person in range(people)], dtype=object),
        "contig_id": np.asarray(["chr21", "chr22"], dtype=object),
        "variant_contig": np.ones(2 * sites, dtype=np.int8),
        "variant_position": np.repeat(panel.pos, 2).astype(np.int32),
        "variant_allele": alleles,
    }.items():
        array = group.create_array(name, shape=data.shape, dtype=str if data.dtype == object else data.dtype)
        array[...] = data
    store = GenotypeStore.open(tmp_path / "cohort.vcz", panel)
    assert np.array_equal(store.dosage(), dosage)
    assert np.array_equal(store.dosage(np.array([9, 3])), dosage[[9, 3]])
    with pytest.raises(InputError, match="give the site panel"):
        GenotypeStore.open(tmp_path / "cohort.vcz")
    with pytest.raises(InputError, match="lacks 90 of the panel's 90 sites"):
        GenotypeStore.open(tmp_path / "cohort.vcz", small_panel([("22", 1 + n, "A", "C") for n in range(90)]))


def test_wrong_folders_and_panels_are_refused(tmp_path: Path, dosage: np.ndarray, panel: SitePanel) -> None:
    write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel)
    with pytest.raises(InputError, match="is not a genotype store"):
        GenotypeStore.open(tmp_path / "nothing")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="exists and is not a genotype store"):
        build_store(tmp_path / "node.vcf.gz", panel, precious)
    assert (precious / "thesis.tex").exists()
    build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "store")
    with pytest.raises(InputError, match="made for another site panel"):
        GenotypeStore.open(tmp_path / "store", simulate_panel(np.maximum(dosage, 0), seed=8))
    group = zarr.open_group(str(tmp_path / "store"), mode="a")
    flipped = group["variant_minor_is_alt"]
    assert isinstance(flipped, zarr.Array)
    flipped[0] = not bool(np.asarray(flipped[0]))
    with pytest.raises(IntegrityError, match="changed after it was made"):
        GenotypeStore.open(tmp_path / "store")
