"""Contig names: one canonical form, ambiguity and mismatch refused."""

from __future__ import annotations

import pytest

from afml.core.errors import InputError
from afml.genomics.contigs import ContigNames, canonical, genome_order, require_shared


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chr22", "22"), ("22", "22"), ("CHRx", "X"), ("chrM", "MT"), ("M", "MT"), ("MT", "MT"), ("chr", "chr"),
     ("chrUn_gl000220", "Un_gl000220"), ("scaffold_1", "scaffold_1"), ("23", "X"), ("chr23", "X"), ("24", "Y"),
     ("25", "X"), ("XY", "X"), ("PAR2", "X"), ("26", "MT"), ("27", "27")],
)  # fmt: skip
def test_canonical_name(name: str, expected: str) -> None:
    assert canonical(name) == expected
    assert canonical(canonical(name)) == expected


def test_genome_order_is_numeric_then_sexes_then_names() -> None:
    names = ["GL1", "MT", "X", "10", "2", "Y", "1", "38"]
    assert sorted(names, key=genome_order) == ["1", "2", "10", "X", "Y", "MT", "38", "GL1"]


def test_two_spellings_in_one_file_are_refused() -> None:
    names = ContigNames("cohort.vcf.gz")
    assert names.canonical("chr22") == "22"
    assert names.canonical("chr22") == "22"
    with pytest.raises(InputError, match=r"cohort.vcf.gz: holds both 'chr22' and '22'"):
        names.canonical("22")


def test_the_part_of_x_that_pairs_may_be_named_beside_x() -> None:
    names = ContigNames("cohort.bim")
    assert [names.canonical(name) for name in ("23", "25", "XY", "23")] == ["X"] * 4
    with pytest.raises(InputError, match="holds both '23' and 'X'"):
        names.canonical("X")


def test_files_without_a_common_contig_are_refused() -> None:
    require_shared(["chr1"], "a.bed", ["1", "2"], "b.vcf.gz")
    require_shared([], "a.bed", ["1"], "b.vcf.gz")
    with pytest.raises(InputError, match=r"a.bed: shares no contig with b.vcf.gz \('chr3' here, '1', '2' there\)"):
        require_shared(["chr3"], "a.bed", ["1", "2"], "b.vcf.gz")
