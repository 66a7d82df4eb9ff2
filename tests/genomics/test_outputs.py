"""Every form of a release holds the same records, and programs that others wrote read all of them.

The programs are bcftools and plink2 (packages of the system), vcf2zarr and vcztools (of the development environment);
CI has all of them.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest
import zarr

from afml.core.errors import InputError
from afml.genomics.build import build_store
from afml.genomics.outputs.bcf import _string
from afml.genomics.release import FORMS, Output, write_release
from afml.genomics.released import read_release, release_digest, release_files
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.genomics.vcf_zarr import region_index
from tests.simulated import simulate_dosage, simulate_panel, write_vcf

HEADER = ["##afml_model=0123abcd", "##afml_dp=false", '##afml_note=masked, "./." is no call']
PEOPLE, SITES = 30, 90


@pytest.fixture(scope="module")
def panel() -> SitePanel:
    """Two contigs, an indel with long alleles, and both ways of counting."""
    found = simulate_panel(simulate_dosage(80, SITES, seed=1))
    found.chrom[60:] = ["X"] * (SITES - 60)
    found.ref[20], found.alt[20], found.ref[21], found.alt[21] = "A", "A" + "CG" * 100, "ACGTACGTACGTACGTACGT", "A"
    assert 0 < found.minor_is_alt.sum() < SITES
    return found


@pytest.fixture(scope="module")
def records() -> np.ndarray:
    """Few records, shared by many: sites at which everybody shows the same, and others."""
    found = np.full((4, SITES), -1, dtype=np.int8)
    found[1, 5], found[2, [7, 65]], found[3, 20:23] = 1, 2, (0, 1, 2)
    return found


SHOWS = np.random.default_rng(3).integers(0, 4, PEOPLE)


def _genotypes(path: Path) -> list[tuple[str, int, str, str, list[str]]]:
    """By pysam, which shares no line with the writers of BCF and Zarr."""
    with pysam.VariantFile(str(path)) as opened:
        text = {0: "0", 1: "1", None: "."}
        return [
            (*(one.chrom, one.pos, one.ref, one.alts[0]), ["/".join(map(text.get, call["GT"])) for call in _calls(one)])
            for one in opened
        ]


def _calls(record: pysam.VariantRecord) -> list[pysam.VariantRecordSample]:
    return list(record.samples.values())


def _expected(panel: SitePanel, records: np.ndarray, order: list[int]) -> list[tuple[str, int, str, str, list[str]]]:
    """Site by site and person by person."""
    rows = []
    for site in range(len(panel)):
        calls = []
        for person in order:
            minor = int(records[SHOWS[person], site])
            copies = minor if panel.minor_is_alt[site] or minor < 0 else 2 - minor
            calls.append({-1: "./.", 0: "0/0", 1: "0/1", 2: "1/1"}[copies])
        rows.append((*panel.key(site), calls))
    return rows


@pytest.mark.parametrize("form", FORMS.names())
@pytest.mark.parametrize("per_contig", [False, True])
def test_every_form_holds_the_same(
    tmp_path: Path, panel: SitePanel, records: np.ndarray, form: str, per_contig: bool
) -> None:
    order = write_release(tmp_path, panel, records, header=HEADER, shows=SHOWS, output=Output(form, per_contig))
    suffix = FORMS.get(form).suffix
    names = [f"release.{contig}{suffix}" for contig in ("22", "X")] if per_contig else [f"release{suffix}"]
    assert [path.name for path in release_files(tmp_path)] == names
    assert np.array_equal(read_release(tmp_path, panel), records[SHOWS][order])
    if form != "zarr":
        assert [row for name in names for row in _genotypes(tmp_path / name)] == _expected(panel, records, order)
        assert sorted(path.name for path in tmp_path.iterdir() if path.name not in names) == [
            f"{name}{FORMS.get(form).indexes[0]}" for name in names
        ]
    if not per_contig and form != "zarr":
        assert release_digest(tmp_path) == hashlib.sha256((tmp_path / names[0]).read_bytes()).hexdigest()


def test_nothing_else_is_in_any_form(tmp_path: Path, panel: SitePanel, records: np.ndarray) -> None:
    for form in FORMS.names():
        write_release(tmp_path / form, panel, records, header=HEADER, shows=SHOWS, output=Output(form))
    with pysam.VariantFile(str(tmp_path / "bcf" / "release.bcf")) as opened:
        assert list(opened.header.formats) == ["GT"]
        assert list(opened.header.info) == []
        assert set(HEADER) <= set(str(opened.header).splitlines())
        for record in opened:
            assert record.id is None
            assert record.qual is None
            assert list(record.filter) == []
            assert not any(call.phased for call in record.samples.values())
    group = zarr.open_group(str(tmp_path / "zarr" / "release.vcz"), mode="r")
    assert set(group.array_keys()) == {
        "call_genotype", "call_genotype_phased", "contig_id", "filter_id", "region_index", "sample_id",
        "variant_allele", "variant_contig", "variant_length", "variant_position",
    }  # fmt: skip
    assert not np.asarray(group["call_genotype_phased"]).any()
    assert dict(group.attrs) == {
        "vcf_zarr_version": "0.4", "source": "afml",
        "vcf_meta_information": [line[2:].split("=", 1) for line in HEADER],
    }  # fmt: skip


def test_the_digest_of_several_files_is_that_of_what_sha256sum_prints(
    tmp_path: Path, panel: SitePanel, records: np.ndarray
) -> None:
    for output in (Output("vcf", per_contig=True), Output("zarr")):
        folder = tmp_path / output.form
        write_release(folder, panel, records, header=HEADER, output=output)
        command = "find release.* -type f ! -name '*.tbi' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
        printed = subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True, text=True).stdout
        assert release_digest(folder) == printed.split()[0]


def test_long_contigs_and_wishes_are_indexed_by_csi(tmp_path: Path, panel: SitePanel, records: np.ndarray) -> None:
    write_release(tmp_path / "wish", panel, records, header=[], output=Output(csi=True))
    assert (tmp_path / "wish" / "release.vcf.gz.csi").is_file()
    assert not (tmp_path / "wish" / "release.vcf.gz.tbi").exists()
    far = simulate_panel(simulate_dosage(80, SITES, seed=1))
    far.pos[-1] = 600_000_000
    write_release(tmp_path / "far", far, records, header=[])
    with pysam.VariantFile(str(tmp_path / "far" / "release.vcf.gz")) as opened:
        assert [one.pos for one in opened.fetch("22", 599_999_999, 600_000_000)] == [600_000_000]


def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path: Path, panel: SitePanel, records: np.ndarray) -> None:
    (tmp_path / "release.vcz").mkdir()
    with pytest.raises(InputError, match="not a released store"):
        write_release(tmp_path, panel, records, header=[], output=Output("zarr"))


@pytest.mark.parametrize("length", [0, 14, 15, 127, 128, 32_767, 32_768])
def test_strings_of_every_length_are_typed(length: int) -> None:
    coded, body = _string("A" * length), b"A" * length
    head = coded[: len(coded) - length]
    assert coded.endswith(body)
    if length < 15:
        assert head == bytes([length << 4 | 7])
    else:
        size = {0x11: 1, 0x12: 2, 0x13: 4}[head[1]]
        assert head[0] == 0xF7
        assert int.from_bytes(head[2:], "little", signed=True) == length
        assert len(head) == 2 + size


def test_regions_are_indexed_chunk_by_chunk() -> None:
    contig = np.array([0, 0, 0, 1, 1, 3])
    found = region_index(contig, np.array([5, 9, 12, 1, 4, 7]), np.array([9, 1, 1, 1, 2, 1]), 2)
    assert found.tolist() == [
        [0, 0, 5, 9, 13, 2], [1, 0, 12, 12, 12, 1], [1, 1, 1, 1, 1, 1], [2, 1, 4, 4, 5, 1], [2, 3, 7, 7, 7, 1],
    ]  # fmt: skip


def _tool(name: str) -> str:
    """A program of the system or of this environment."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _output(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _queried(text: str) -> list[tuple[str, int, str, str, list[str]]]:
    rows = [line.split("\t") for line in text.splitlines() if line]
    return [(row[0], int(row[1]), row[2], row[3], row[4].split(",")) for row in rows]


QUERY = r"%CHROM\t%POS\t%REF\t%ALT\t[%GT,]\n"


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_bcftools_reads_the_files(tmp_path: Path, panel: SitePanel, records: np.ndarray, form: str) -> None:
    bcftools = _tool("bcftools")
    order = write_release(tmp_path, panel, records, header=HEADER, shows=SHOWS, output=Output(form))
    (path,) = release_files(tmp_path)
    found = [(*row[:4], row[4][:-1]) for row in _queried(_output(bcftools, "query", "-f", QUERY, path))]
    expected = _expected(panel, records, order)
    assert found == expected
    chrom, pos = panel.chrom[20], int(panel.pos[20])
    inside = _output(bcftools, "query", "-r", f"{chrom}:{pos}-{pos}", "-f", QUERY, path)
    assert [row[1] for row in _queried(inside)] == [pos]


def test_plink2_counts_no_masked_genotype(tmp_path: Path, panel: SitePanel, records: np.ndarray) -> None:
    plink2 = _tool("plink2")
    order = write_release(tmp_path, panel, records, header=HEADER, shows=SHOWS)
    _output(plink2, "--vcf", tmp_path / "release.vcf.gz", "--chr", 22, "--geno-counts", "--out", tmp_path / "p",
            "--threads", 1, "--memory", 640)  # fmt: skip
    rows = [line.split() for line in (tmp_path / "p.gcount").read_text().splitlines()]
    at = {name: index for index, name in enumerate(rows[0])}
    expected = [row for row in _expected(panel, records, order) if row[0] == "22"]
    assert len(rows) - 1 == len(expected)
    for row, (_, _, ref, alt, calls) in zip(rows[1:], expected, strict=True):
        assert (row[at["REF"]], row[at["ALT"]]) == (ref, alt)
        assert int(row[at["MISSING_CT"]]) == calls.count("./.")
        assert int(row[at["HOM_REF_CT"]]) == calls.count("0/0")
        assert int(row[at["HET_REF_ALT_CTS"]]) == calls.count("0/1")
        assert int(row[at["TWO_ALT_GENO_CTS"]]) == calls.count("1/1")


def test_vcztools_reads_releases_and_stores(tmp_path: Path, panel: SitePanel, records: np.ndarray) -> None:
    vcztools = _tool("vcztools")
    order = write_release(tmp_path, panel, records, header=HEADER, shows=SHOWS, output=Output("zarr"))
    found = _output(vcztools, "query", "-f", QUERY, tmp_path / "release.vcz")
    expected = _expected(panel, records, order)
    assert [(*row[:4], row[4][:-1]) for row in _queried(found)] == expected
    chrom, pos = panel.chrom[65], int(panel.pos[65])
    text = _output(vcztools, "view", "-r", f"{chrom}:{pos}-{pos}", tmp_path / "release.vcz")
    assert set(HEADER) <= set(text.splitlines())
    assert [line.split("\t")[1] for line in text.splitlines() if not line.startswith("#")] == [str(pos)]
    dosage = simulate_dosage(PEOPLE, SITES, seed=4)
    write_vcf(tmp_path / "node.vcf.gz", panel.to_minor(dosage), panel=panel)
    build_store(tmp_path / "node.vcf.gz", panel, tmp_path / "cohort.zarr")
    stored = _queried(_output(vcztools, "query", "-f", QUERY, tmp_path / "cohort.zarr"))
    copies = [[sum(int(allele) for allele in call.split("/")) for call in row[4][:-1]] for row in stored]
    assert np.array_equal(np.asarray(copies).T, panel.to_minor(dosage))


def test_vcf2zarr_takes_a_release_and_its_store_opens_here(
    tmp_path: Path, panel: SitePanel, records: np.ndarray
) -> None:
    vcf2zarr = _tool("vcf2zarr")
    order = write_release(tmp_path, panel, records, header=HEADER, shows=SHOWS)
    _output(vcf2zarr, "convert", "--no-progress", tmp_path / "release.vcf.gz", tmp_path / "made.vcz")
    assert np.array_equal(GenotypeStore.open(tmp_path / "made.vcz", panel).dosage(), records[SHOWS][order])
