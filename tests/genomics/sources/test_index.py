"""Records by index, by scan and by parts are the same records."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from afml.core.errors import InputError
from afml.genomics.bgzip import header_lines
from afml.genomics.sources import vcf
from afml.genomics.sources.index import find_index
from afml.genomics.sources.record import Record, Span
from afml.genomics.sources.vcf import VariantFile
from tests.simulated import simulate_dosage, write_records, write_vcf


def told(records: list[Record]) -> list[tuple[str, int, list[list[int]]]]:
    return [(record.chrom, record.pos, record.calls().tolist()) for record in records]


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One cohort as VCF with TBI, VCF with CSI, BCF with CSI; and without an index."""
    folder = tmp_path_factory.mktemp("forms")
    dosage = simulate_dosage(60, 3000, seed=3)
    found = {name: folder / name for name in ("tbi.vcf.gz", "csi.vcf.gz", "csi.bcf", "plain.vcf.gz", "plain.bcf")}
    write_vcf(found["tbi.vcf.gz"], dosage, chrom=["chr1"] * 1500 + ["chrX"] * 1500)
    for name in ("csi.vcf.gz", "plain.vcf.gz"):
        found[name].write_bytes(found["tbi.vcf.gz"].read_bytes())
    for name in ("csi.bcf", "plain.bcf"):
        pysam.bcftools.view("-Ob", "-o", str(found[name]), str(found["tbi.vcf.gz"]), catch_stdout=False)
    for name in ("csi.vcf.gz", "csi.bcf"):
        pysam.bcftools.index("-c", "-f", str(found[name]), catch_stdout=False)
    return found


SPANS: list[list[Span]] = [
    [("1", 1000, 1000)],
    [("1", 1, 999)],
    [("X", 151_000, 160_000), ("1", 140_000, 200_000), ("1", 140_050, 141_000)],
    [("1", 1, 1 << 29), ("X", 1, 1 << 29)],
    [("7", 1, 1000)],
    [("X", 299_000, 1 << 40)],
]


@pytest.mark.parametrize("name", ["tbi.vcf.gz", "csi.vcf.gz", "csi.bcf"])
@pytest.mark.parametrize("spans", SPANS, ids=str)
def test_the_index_finds_what_a_scan_finds(forms: dict[str, Path], name: str, spans: list[Span]) -> None:
    assert find_index(forms[name], {0: "1", 1: "X"}) is not None
    assert find_index(forms["plain.vcf.gz"], {}) is None
    scanned = [
        record
        for record in VariantFile(forms["plain.vcf.gz"])
        if any(record.chrom == chrom and first <= record.pos <= last for chrom, first, last in spans)
    ]
    assert told(list(VariantFile(forms[name]).records(spans))) == told(scanned)
    assert told(list(VariantFile(forms["plain.vcf.gz"]).records(spans))) == told(scanned)


def test_an_end_reaches_into_a_span(tmp_path: Path) -> None:
    path = tmp_path / "blocks.vcf.gz"
    end = ['##INFO=<ID=END,Number=1,Type=Integer,Description="end">']
    write_records(path, ["1 10 . A <NON_REF> . . END=40000 GT 0/0", "1 40001 . ACC A . . . GT 0/1"], ["a"], end)
    spans = [("1", 39_999, 39_999)]
    assert [record.pos for record in VariantFile(path).records(spans)] == [10]
    pysam.tabix_index(str(path), preset="vcf", force=True)
    assert [record.pos for record in VariantFile(path).records(spans)] == [10]
    assert [record.pos for record in VariantFile(path).records([("1", 40_003, 40_009)])] == [40_001]


def test_an_index_older_than_its_file_is_not_used(forms: dict[str, Path]) -> None:
    index = Path(f"{forms['csi.bcf']}.csi")
    kept = index.stat().st_mtime
    os.utime(index, (1, 1))
    assert find_index(forms["csi.bcf"], {}) is None
    os.utime(index, (kept, kept))


def indexed(path: Path) -> list[Path]:
    """A VCF with TBI, and the same as a BCF with CSI."""
    binary = path.with_suffix(".bcf")
    pysam.bcftools.view("-Ob", "-o", str(binary), str(path), catch_stdout=False)
    pysam.bcftools.index("-t", "-f", str(path), catch_stdout=False)
    pysam.bcftools.index("-c", "-f", str(binary), catch_stdout=False)
    return [path, binary]


@pytest.mark.parametrize(
    ("contigs", "names"),
    [
        (["ID=X", "ID=PAR1"], ("X", "PAR1")),  # two names that mean X, both with records
        (["ID=chrX", "ID=X", "ID=23"], ("X", "X")),  # and such as have none
        (["ID=21,IDX=3", "ID=X,IDX=7"], ("X", "X")),  # numbers that leave some out
        (["ID=X,IDX=1", "ID=21,IDX=0"], ("X", "X")),
        (["ID=21", "ID=21", "ID=X"], ("X", "X")),
    ],
    ids=str,
)
def test_an_index_knows_each_name_of_a_contig(tmp_path: Path, contigs: list[str], names: tuple[str, str]) -> None:
    lines = ["##fileformat=VCFv4.2", *(f"##contig=<{one}>" for one in contigs)]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">']
    lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "a"])]
    rows = [(names[0], 100_000), (names[0], 5_000_000), (names[1], 5_100_000)]
    lines += [f"{chrom}\t{pos}\t.\tA\tC\t.\t.\t.\tGT\t0/1" for chrom, pos in rows]
    path = tmp_path / "a.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(("\n".join(lines) + "\n").encode())
    for form in indexed(path):
        with VariantFile(form) as source:
            assert [record.pos for record in source.records([("X", 1, 1 << 28)])] == [pos for _, pos in rows]


def test_a_file_without_records_has_an_index_too(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(header_lines(["22"], [], ["a"]))
    for form in indexed(path):
        assert list(VariantFile(form).records([("22", 1, 1 << 28)])) == []


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    write_vcf(path, simulate_dosage(3, 20, seed=1))
    index = Path(f"{path}.tbi")
    index.write_bytes(index.read_bytes()[:-40])
    with pytest.raises(InputError, match="index is damaged"):
        list(VariantFile(path).records([("22", 1, 2000)]))


@pytest.mark.parametrize("name", ["plain.vcf.gz", "csi.bcf", "plain.bcf"])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_parts_give_each_record_once(
    forms: dict[str, Path], name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcf, "_SMALLEST_PART", 500)
    source = VariantFile(forms[name])
    parts = source.parts(count)
    assert len(parts) <= count
    assert (count == 1 or name == "plain.bcf") == (len(parts) == 1)
    pieces = [told(list(source.records(part=part))) for part in parts]
    assert list(chain.from_iterable(pieces)) == told(list(source))
    spans = [("1", 140_000, 150_000), ("X", 160_000, 170_000), ("X", 250_000, 250_000)]
    pieces = [told(list(source.records(spans, part))) for part in source.parts(count, spans)]
    assert list(chain.from_iterable(pieces)) == told(list(source.records(spans)))
