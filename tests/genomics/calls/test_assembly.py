"""Builds of the genome: found by contig lengths, else by what a header says; two of them are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from afml.core.errors import InputError
from afml.genomics.calls.assembly import Assembly, require_one_build

OURS, PANEL = Path("own.vcf.gz"), Path("panel.vcf.gz")


@pytest.mark.parametrize(
    ("contigs", "lines", "build"),
    [({"22": 51304566}, [], "GRCh37"), ({"chr22": 50818468, "chrUn": 7}, [], "GRCh38"),
     ({"22": 49691432}, [], "NCBI36"), ({"chr22": 51324926}, [], "T2T-CHM13"),
     ({"22": None}, ["##reference=file:///refs/human_g1k_v37.fasta"], "GRCh37"),
     ({}, ["##reference=ftp://x/GRCh38_full_analysis_set_plus_decoy_hla.fa"], "GRCh38"),
     ({}, ["##contig=<ID=1,assembly=b37>"], "GRCh37"), ({}, ['##contig=<ID=chr1,assembly="hg38">'], "GRCh38"),
     ({}, ["##assembly=hg18"], "NCBI36"), ({}, ["##reference=chm13v2.0.fa"], "T2T-CHM13"),
     ({"22": 50818468}, ["##reference=hg19.fa"], "GRCh38"),  # lengths win: the line was kept over a lift
     ({}, ["##reference=hg19.fa", "##assembly=GRCh38"], None), ({"22": 1000}, ["##reference=hg19.fa"], None),
     ({}, ["##source=hg19-caller"], None)],
)  # fmt: skip
def test_the_build_of_a_header(contigs: dict[str, int | None], lines: list[str], build: str | None) -> None:
    assert Assembly.of(contigs, lines).build == build


@pytest.mark.parametrize(
    ("ours", "theirs", "seen"),
    [(Assembly.of({"22": 51304566}), Assembly.of({"chr22": 50818468}),
      r"here contig 22 of 51304566 bases, GRCh37; there contig 22 of 50818468 bases, GRCh38"),
     (Assembly.of({}, ["##reference=hg19.fa"]), Assembly.of({"22": 50818468}), r"here hg19.fa, GRCh37; there contig"),
     (Assembly.of({}, ["##reference=hg19.fa"]), Assembly.of({}, ["##assembly=GRCh38"]),
      r"here hg19.fa, GRCh37; there GRCh38;"),
     (Assembly.of({"22": 1000}), Assembly.of({"22": 2000}), r"here contig 22 of 1000 bases; there")],
)  # fmt: skip
def test_two_builds_are_refused(ours: Assembly, theirs: Assembly, seen: str) -> None:
    with pytest.raises(InputError, match=r"own.vcf.gz: is of another build of the genome than panel.vcf.gz: " + seen):
        require_one_build(ours, OURS, theirs, PANEL, ["22"])


def test_one_build_or_none_known_is_taken() -> None:
    for ours, theirs in (
        (Assembly.of({"22": 50818468}), Assembly.of({}, ["##reference=hg38.fa"])),
        (Assembly.of({"22": 50818468}), Assembly.of({})),
        (Assembly.of({"22": 1000, "MT": 16569}), Assembly.of({"22": 1000, "MT": 16571})),  # MT is not in the panel
    ):
        require_one_build(ours, OURS, theirs, PANEL, ["22"])
