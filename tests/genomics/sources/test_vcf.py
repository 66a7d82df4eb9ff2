"""Reading VCF and BCF: genotypes decoded, damage never read as a shorter file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest

from afml.core.errors import InputError
from afml.genomics.bgzip import header_lines
from afml.genomics.sources.record import ABSENT, MISSING, NoGenotypes
from afml.genomics.sources.vcf import VariantFile
from tests.simulated import simulate_dosage, write_records, write_vcf

HEADER = [
    '##FILTER=<ID=LowQual,Description="low, \\"very\\" low">',
    '##FILTER=<ID=q10,Description="quality">',
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">',
    '##INFO=<ID=DB,Number=0,Type=Flag,Description="known">',
    '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">',
    '##INFO=<ID=END,Number=1,Type=Integer,Description="end">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="quality">',
    '##FORMAT=<ID=DS,Number=.,Type=Float,Description="dosage">',
    '##FORMAT=<ID=FT,Number=1,Type=String,Description="filter">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">',
]


def read(path: Path) -> list[tuple[str, int, tuple[str, ...]]]:
    with VariantFile(path) as variants:
        return [(record.chrom, record.pos, record.alleles) for record in variants]


def dosages(path: Path) -> list[list[int]]:
    with VariantFile(path) as variants:
        return [record.dosage(1).tolist() for record in variants]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.vcf.gz"
    write_vcf(path, simulate_dosage(200, 2000, seed=1))
    return path


def test_dosage_counts_one_allele_and_keeps_missing_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    write_records(
        path,
        ["chr22 10 . A C,T . . . GT 0/0 0/1 1|2 2/2 ./. ./1", "chr22 20 . A C . . . GT 0 1 . 0/1 1/1 0|0"],
        ["a", "b", "c", "d", "e", "f"],
    )
    with VariantFile(path) as variants:
        first, _ = list(variants)
        assert (first.chrom, first.pos, first.alleles) == ("22", 10, ("A", "C", "T"))
    with VariantFile(path, keep=["c", "a"]) as variants:
        assert variants.samples == ["c", "a"]
        assert next(iter(variants)).calls().tolist() == [[1, 2], [0, 0]]
    with pytest.raises(InputError, match=r"lacks 2 samples \(x, y\)"):
        VariantFile(path, keep=["a", "x", "y"])
    with VariantFile(path) as variants:
        records = iter(variants)
        first = next(records)
        assert [first.dosage(allele).tolist() for allele in (0, 1, 2)] == [
            [2, 1, 0, 0, -1, -1], [0, 1, 1, 0, -1, -1], [0, 0, 1, 2, -1, -1],
        ]  # fmt: skip
        # Haploid calls say nothing about a pair: missing.
        assert next(records).dosage(1).tolist() == [-1, -1, -1, 1, 2, 0]


def test_bcf_reads_like_vcf(whole: Path, tmp_path: Path) -> None:
    bcf = tmp_path / "a.bcf"
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(whole), catch_stdout=False)
    with VariantFile(whole) as left, VariantFile(bcf) as right:
        assert left.samples == right.samples
        for ours, theirs in zip(left, right, strict=True):
            assert np.array_equal(ours.dosage(1), theirs.dosage(1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-28], "truncated"),
        (
            lambda data: data[: len(data) // 2] + bytes(60) + data[len(data) // 2 + 60 :],
            "cannot be read, after 22:.*the block at byte",
        ),
        (lambda data: b"", "is empty"),
        (lambda data: b"##fileformat=VCFv4.3\n", "is not bgzipped"),
    ],
)
def test_damage_is_an_error(whole: Path, damage, message: str, capfd: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    whole.write_bytes(damage(whole.read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        read(whole)
    assert str(whole) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # htslib says nothing beside it


def test_no_flipped_bit_changes_what_is_read(whole: Path) -> None:
    rng = np.random.default_rng(0)
    data, before = whole.read_bytes(), dosages(whole)
    refused = 0
    for place in [*range(20), *rng.integers(len(data), size=25)]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        whole.write_bytes(damaged)
        try:
            assert dosages(whole) == before  # a bit of the time stamp, say
        except InputError:
            refused += 1
    assert refused >= 25


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="VCF does not exist"):
        VariantFile(tmp_path / "none.vcf.gz")


@pytest.mark.parametrize(
    ("samples", "record", "message"),
    [
        (["a", "a"], "22 1 . A C . . . GT 0/0 0/1", "names sample a more than once"),
        ([], "22 1 . A C . . . GT", "holds no samples"),
        (["a", "b"], "22 1 . A C . . . GT 0/0", "line 6 has 10 columns, not 11"),
        (["a", "b"], "22 x . A C . . . GT 0/0 0/0", "line 6 has a POS that is no position"),
        (["a", "b"], "22 1 . A C . . . GT 0/0 0/foo", "record 22:1 has a call that is no genotype"),
        (["a", "b"], "22 1 . A C . . . DP 7 9", "record 22:1 has no GT"),
        (["a", "b"], "22 1 . A C . . . GT 0/0/1 0/0/0", "more than two alleles"),
        (["a", "b"], "22 1 . A C . . . GT 0/0 0/2", "does not list"),
        (["a", "b"], "22 1 . A C . . . GT:DP 0/0:1 0|10:2", "does not list"),
        (["a", "b"], "22 1 . A ,C . . . GT 0/0 0/1", "line 6 has an ALT without a letter"),
        (["a", "b"], "22 1 . A C, . . . GT 0/0 0/1", "line 6 has an ALT without a letter"),
        (["a", "b"], "#CHROM POS", "line 6 is a header line among the records"),
    ],
)
def test_malformed_content_is_one_clear_line(
    tmp_path: Path, samples: list[str], record: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.vcf.gz"
    write_records(path, [record], samples)
    with pytest.raises(InputError, match=message):
        dosages(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("blank", ["", "  ", "\r"])
def test_a_blank_line_is_named(tmp_path: Path, blank: str) -> None:
    path = tmp_path / "blank.vcf.gz"
    text = header_lines(["22"], [], ["a"]).decode() + "22\t1\t.\tA\tC\t.\t.\t.\tGT\t0/0\n" + blank + "\n"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(text.encode())
    with pytest.raises(InputError, match="line 7 is blank"):
        read(path)


def test_what_one_record_says(tmp_path: Path) -> None:
    path = tmp_path / "fields.vcf.gz"
    rows = [
        "X 10 . a g,<NON_REF> . LowQual;q10 DP=7;DB;AF=0.25,1e-3 GT:GQ:DS:FT 0/1:9:0.5,1:PASS 1:.:.:q10 .:3",
        "X 20 . A . . PASS END=90 DP:GT 4:0/0 .:|1/0 1:12|0",
    ]
    write_records(path, rows, ["a", "b", "c"], HEADER)
    first, second = list(VariantFile(path))
    assert (first.alleles, first.filters, first.end) == (("A", "G", "<NON_REF>"), ("LowQual", "q10"), 10)
    assert (first.info("DP"), first.info("DB"), first.info("P"), first.info("D")) == ("7", "", None, None)
    assert first.stated("AF") == [0.25, float(np.float32(0.001))]
    assert first.stated("DP") == [None, None]
    assert first.calls().tolist() == [[0, 1], [1, ABSENT], [MISSING, ABSENT]]
    assert np.array_equal(first.numbers("GQ"), np.array([[9], [np.nan], [3]], dtype=np.float32), equal_nan=True)
    assert np.array_equal(first.numbers("DS"), [[0.5, 1], [np.nan, np.nan], [np.nan, np.nan]], equal_nan=True)
    assert (first.texts("FT"), first.texts("GP")) == (["PASS", "q10", "."], None)
    assert (second.alleles, second.filters, second.end) == (("A",), (), 90)
    with pytest.raises(InputError, match="does not list"):
        second.calls()


def test_columns_are_kept_in_the_order_asked_for(whole: Path) -> None:
    everybody = [record.calls() for record in VariantFile(whole)]
    some = VariantFile(whole, keep=["S7", "S0", "S199"])
    assert some.samples == ["S7", "S0", "S199"]
    for record, calls in zip(some, everybody, strict=True):
        assert np.array_equal(record.calls(), calls[[7, 0, 199]])
    with pytest.raises(InputError, match="lacks sample nobody"):
        VariantFile(whole, keep=["S1", "nobody"])


def test_sites_only_file_has_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "sites.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\t.\n")
    with pytest.raises(InputError, match="holds no samples"):
        read(path)
    with VariantFile(path, need_samples=False) as variants:
        assert [record.pos for record in variants] == [5]


def test_bgzipped_text_that_is_no_vcf(tmp_path: Path) -> None:
    path = tmp_path / "junk.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(b"hello\n" * 50)
    with pytest.raises(InputError, match="header has no #CHROM line"):
        read(path)


@pytest.mark.parametrize(("coding", "without"), [("utf-8-sig", "tail -c \\+4"), ("utf-16", "iconv -f UTF-16")])
def test_a_byte_order_mark_is_named(tmp_path: Path, coding: str, without: str) -> None:
    path = tmp_path / "edited.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(header_lines(["22"], [], ["a"]).decode().encode(coding))
    with pytest.raises(InputError, match=rf"begins with the byte-order mark.*{without}"):
        read(path)


def test_two_spellings_of_a_contig_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.vcf.gz"
    write_records(path, ["22 1 . A C . . . GT 0/0", "chr22 2 . A C . . . GT 0/0"], ["a"])
    with pytest.raises(InputError, match="holds both '22' and 'chr22'"):
        read(path)


def test_dosages_do_not_hide_calls_that_cannot_be(tmp_path: Path) -> None:
    path, bcf = tmp_path / "a.vcf.gz", tmp_path / "a.bcf"
    rows = ["22 10 . A C . . . GT:DS 0/0/1:1 0/1:1", "22 20 . A C . . . GT:DS 0/2:1 0/1:1", "22 30 . A C . . . DS 1 ."]
    write_records(path, rows, ["a", "b"], HEADER)
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(path), catch_stdout=False)
    for form in (path, bcf):
        wrong, unlisted, none = VariantFile(form)
        for record in (wrong, unlisted):
            with pytest.raises(InputError) as told:
                record.calls()
            assert not isinstance(told.value, NoGenotypes)
        with pytest.raises(NoGenotypes):
            none.calls()


def test_bcf_says_what_vcf_says(tmp_path: Path) -> None:
    path, bcf = tmp_path / "a.vcf.gz", tmp_path / "a.bcf"
    rows = [
        "X 10 . a g,<NON_REF> . LowQual;q10 DP=7;DB;AF=0.25,1e-3 GT:GQ:DS:FT 0/1:9:0.5,1:PASS 1:.:.:q10 .:3:1:.",
        "X 20 . ACGT A,AC . PASS END=900 DP:GT 40000:0/0 .:1/2 1:./2",
        "22 30 . A . . . DP=300;AF=. GT 0/0 ./. 0",
        "22 40 . AC A . . END=. GT 0/0 ./. 0/1",
    ]
    write_records(path, rows, ["a", "b", "c"], HEADER)
    pysam.bcftools.view("-Ob", "-o", str(bcf), str(path), catch_stdout=False)
    left, right = VariantFile(path), VariantFile(bcf)
    assert (left.samples, dict(left.contigs)) == (right.samples, dict(right.contigs))
    for ours, theirs in zip(left, right, strict=True):
        for what in ("chrom", "pos", "alleles", "end", "filters"):
            assert getattr(ours, what) == getattr(theirs, what), what
        for key in ("DP", "DB", "AF", "END", "none"):
            assert ours.stated(key) == theirs.stated(key)
            assert key == "AF" or ours.info(key) == theirs.info(key)
        assert np.array_equal(ours.calls(), theirs.calls())
        for field in ("GQ", "DS", "DP", "GP"):
            one, other = ours.numbers(field), theirs.numbers(field)
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other, equal_nan=True)
        assert ours.texts("FT") == theirs.texts("FT")
