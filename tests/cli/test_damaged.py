"""Damaged and unusual files at `afml prepare`: one line with the place, no process that dies, nothing left behind."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest

from afml.genomics.store import GenotypeStore
from tests.cli.institution import Institution
from tests.cli.zygote import Zygote

pytestmark = pytest.mark.usefixtures("untouched")

Edit = Callable[[list[bytes]], object]


def bgzipped(path: Path, lines: list[bytes]) -> Path:
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(b"\n".join(lines) + b"\n")
    return path


def own_lines(good: Institution) -> list[bytes]:
    return gzip.decompress((good.root / "own.vcf.gz").read_bytes()).removesuffix(b"\n").split(b"\n")


def no_contigs(lines: list[bytes]) -> None:
    lines[:] = [line for line in lines if not line.startswith(b"##contig")]
    first = next(number for number, line in enumerate(lines) if not line.startswith(b"#"))
    lines[first] = b"22\t1000\trs1"


def replaced(old: bytes, new: bytes) -> Edit:
    def edit(lines: list[bytes]) -> None:
        lines[:] = [line.replace(old, new, 1) for line in lines]

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: lines.insert(20, b""), "line 21 is blank"),
        (lambda lines: lines.append(b""), "is blank"),
        (lambda lines: lines.insert(20, b"# half of the people"), "line 21 is a header line among the records"),
        (lambda lines: lines.extend(list(lines)), "is a header line among the records (files joined by cat?)"),
        (no_contigs, "has 3 columns, not 49"),
        (replaced(b"\tN7", b"\tN\xe97"), "column names are not UTF-8 text"),
        (lambda lines: lines.insert(1, b""), "line 2 of the header is blank"),
        (lambda lines: lines.__setitem__(20, lines[20][:60]), "line 21 has"),
    ],
    ids=["blank", "blank at the end", "comment", "joined", "first record", "latin-1", "blank in the header", "cut"],
)
def test_one_line_and_nothing_left(good: Institution, scratch: Path, edit: Edit, message: str) -> None:
    lines = own_lines(good)
    edit(lines)
    damaged = bgzipped(scratch / "c.vcf.gz", lines)
    work = scratch / "work"
    complaint = good.prepare(vcf=damaged, work=work).complaint()
    assert complaint.startswith(f"{damaged}: ")
    assert message in complaint
    assert {path.name for path in work.iterdir()} <= {"holdout.key", ".lock"}


def test_bytes_after_the_end(good: Institution, scratch: Path) -> None:
    padded = scratch / "c.vcf.gz"
    data = (good.root / "own.vcf.gz").read_bytes()
    padded.write_bytes(data + bytes(512))
    complaint = good.prepare(vcf=padded, work=scratch / "work").complaint()
    assert complaint.startswith(f"{padded}: VCF has 512 bytes after its end-of-file block; ")
    assert f"head -c {len(data)}" in complaint


def test_phase_prefixes_and_plain_gzip_change_nothing(good: Institution, scratch: Path) -> None:
    stores = []
    for number, prefix in enumerate((b"", b"/")):  # VCF 4.4 lets a phase stand before the first allele
        lines = [
            line if line.startswith(b"#") else line.replace(b"\tGT\t", b"\tGT\t" + prefix).replace(b"\t0/1", b"\t|0|1")
            for line in own_lines(good)
        ]
        own = scratch / f"{number}.vcf.gz"
        own.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        done = good.prepare(vcf=own, work=scratch / f"work-{number}")
        assert done.code == 0, done.err
        stores.append(GenotypeStore.open(next((scratch / f"work-{number}").rglob("cohort.zarr"))))
    theirs = GenotypeStore.open(next((good.root / "work-1").rglob("cohort.zarr")))
    for store in stores:
        assert np.array_equal(store.dosage(), theirs.dosage())


@pytest.mark.parametrize(
    ("case", "message"),
    [("blank", "is blank"), ("latin1name", "not UTF-8"), ("padded", "512 bytes after its end-of-file block")],
)
def test_cases_after_public_reports(
    good: Institution, afml: Zygote, scratch: Path, real_data: Path, case: str, message: str
) -> None:
    folder = real_data.parent / "cases" / "genomes" / case
    if not folder.is_dir():
        pytest.skip("no cases beside the data")
    done = afml(
        "prepare", "--kit", good.root / "kits" / "node-1", "--vcf", folder / "c.vcf.gz", "--panel-vcf",
        folder / "p.vcf.gz", "--phenotypes", folder / "ph.tsv", "--work", scratch / "w", "--sites", 40, "--seed", 7,
    )  # fmt: skip
    assert message in done.complaint()
    assert not list((scratch / "w").glob(".prepare*"))
