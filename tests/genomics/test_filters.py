"""Region exclusion: merged intervals against a base-by-base reference, and BED errors."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.genomics.contigs import canonical
from afml.genomics.filters import Regions, read_bed, read_regions

intervals = st.lists(
    st.tuples(st.sampled_from(["1", "2"]), st.integers(0, 60), st.integers(0, 20)).map(
        lambda item: (item[0], item[1], item[1] + item[2])
    ),
    max_size=12,
)


@given(intervals, st.sampled_from(["1", "2", "3"]), st.integers(1, 90), st.integers(1, 8))
def test_overlap_equals_base_by_base_reference(
    spans: list[tuple[str, int, int]], contig: str, pos: int, length: int
) -> None:
    excluded = {(name, base) for name, start, end in spans for base in range(start, end)}
    expected = any((contig, base) in excluded for base in range(pos - 1, pos - 1 + length))
    assert Regions(spans).overlaps(contig, pos, length) == expected


@pytest.mark.parametrize("zipped", [False, True])
def test_read_bed_plain_or_gzipped(tmp_path: Path, zipped: bool) -> None:
    text = b"track name=x\n# comment\n\nchr22\t10\t20\tlabel\nchr22\t15\t30\n"
    path = tmp_path / ("a.bed.gz" if zipped else "a.bed")
    path.write_bytes(gzip.compress(text) if zipped else text)
    regions = read_bed(path)
    assert [regions.overlaps("22", pos, 1) for pos in (10, 11, 30, 31)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("22\t1\n", "line 1 is not"),
        ("22\t1\t5\n22\tx\t5\n", "line 2 is not"),
        ("22\t9\t5\n", "line 1 has start 9 and end 5"),
        ("22\t-1\t5\n", "line 1 has start -1"),
        ("# nothing\n", "holds no interval"),
        ("22\t1\t5\nchr22\t1\t5\n", "holds both '22' and 'chr22'"),
    ],
)
def test_bad_bed_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.bed"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bed(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_or_damaged_bed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="BED file does not exist"):
        read_bed(tmp_path / "none.bed")
    whole = gzip.compress(b"22\t1\t5\n" * 1000)
    (tmp_path / "cut.bed.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="BED file is damaged"):
        read_bed(tmp_path / "cut.bed.gz")


@pytest.mark.real_data
def test_published_region_lists(real_data: Path) -> None:
    without = read_bed(real_data / "bed" / "encode_blacklist_v2.hg38.nochr.bed.gz")
    with_chr = read_bed(real_data / "bed" / "encode_blacklist_v2.hg19.bed.gz")
    assert {canonical(name) for name in with_chr.contigs} == set(without.contigs)
    assert without.overlaps("1", 1, 1)
    assert not without.overlaps("1", 792_501, 1)
    low_complexity = read_bed(real_data / "bed" / "giab_GRCh38_imperfect_homopolymer_gt20_slop5.nochr.bed.gz")
    assert [low_complexity.overlaps("1", pos, 1) for pos in (33515, 33516, 33546, 33547)] == [
        False,
        True,
        True,
        False,
    ]


def test_regions_are_named_in_a_list_or_in_a_file_and_count_from_one(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("chr21\t9\t20\n")
    found = read_regions(["chr22:100-200,chr22:150-300, chr22:400", str(tmp_path / "a.bed"), "X:5-,chr7"])
    assert list(found.intervals) == [
        ("22", 99, 300), ("22", 399, 400), ("21", 9, 20), ("X", 4, 1 << 31), ("7", 0, 1 << 31),
    ]  # fmt: skip
    assert [found.overlaps("22", pos, 1) for pos in (99, 100, 300, 301, 400, 401)] == [
        False, True, True, False, True, False,
    ]  # fmt: skip
    assert sorted(found.contigs) == ["X", "chr21", "chr22", "chr7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("22:9-5", "'22:9-5' is no region; write 22, 22:1000 or 22:1000-2000"),
        ("22:0-5", "is no region"),
        ("22:1e6", "is no region"),
        ("22:5,x:y", "'x:y' is no region"),
        (" , ", "names no region"),
        ("none.bed", "BED file does not exist"),
        ("22:5,chr22:9", "holds both '22' and 'chr22'"),
    ],
)
def test_what_is_no_region_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_regions([text])


@given(intervals)
def test_intervals_are_the_merged_ones(spans: list[tuple[str, int, int]]) -> None:
    merged = list(Regions(spans).intervals)
    bases = {(name, base) for name, start, end in spans for base in range(start, end)}
    assert sorted(bases) == sorted((name, base) for name, start, end in merged for base in range(start, end))
