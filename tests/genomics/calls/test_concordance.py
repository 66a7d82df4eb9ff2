"""Every stored genotype beside an independent reading (bcftools, plink2), on real genomes and what is made of them.

The derivatives hold real genotypes under other alleles or places: indels, several ALTs in one record, one allele per
male on X, blocks of a gVCF. They exist in the test's scratch folder alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pysam
import pytest
from numpy.typing import NDArray

from afml.genomics.build import build_store
from afml.genomics.calls.account import CallReading
from afml.genomics.calls.site_calls import Rules
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.sites import SiteKey, SitePanel, trimmed
from afml.genomics.store import GenotypeStore

pytestmark = pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs bcftools")

FILES = {
    "1kg_grch38_exome_common_maf1pct.2503.vcf.gz": "22",
    "1kg_grch38_exome_chr13_15_18_21_22.2548.vcf.gz": "21:25000000-35000000",
    "1kg_grch38_exome_chr21_22_25-26Mb.vep115.2548.vcf.gz": "21",
    "1kg_p3_grch37_chr1_11.70-11.84Mb.2504.vcf.gz": "1",
}
#: AFML_CONCORDANCE=all takes everybody and every place of these files (some minutes), not a quick part of them.
EVERYTHING = os.environ.get("AFML_CONCORDANCE") == "all"
PEOPLE = 60


def run(*command: object) -> str:
    return subprocess.run([str(one) for one in command], capture_output=True, text=True, check=True).stdout


def part_of(source: Path, folder: Path) -> Path:
    """A quick part of a real file, or all of it under a name in the test's folder."""
    part = folder / "part.vcf.gz"
    if EVERYTHING:
        part.symlink_to(source)
        return part
    some = ",".join(run("bcftools", "query", "-l", source).split()[:PEOPLE])
    run("bcftools", "view", "-r", FILES[source.name], "-s", some, "-Oz", "-o", part, source)
    return part


@pytest.fixture(params=sorted(FILES))
def real(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> Path:
    """A real file, unchanged."""
    return part_of(real_data / request.param, tmp_path)


@pytest.fixture(params=sorted(FILES) if EVERYTHING else sorted(FILES)[1:2])
def base(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> Path:
    """A real file that something is made of."""
    return part_of(real_data / request.param, tmp_path)


def read_by_bcftools(vcf: Path) -> dict[SiteKey, NDArray[np.int8]]:
    """Copies of every ALT per person, one ALT a record: a haploid call counts twice, half a call is missing."""
    split = vcf.with_name("split.bcf")
    run("bcftools", "norm", "-m", "-any", "-Ob1", "-o", split, vcf)
    found: dict[SiteKey, NDArray[np.int8]] = {}
    query = ["bcftools", "query", "-f", "%CHROM\t%POS\t%REF\t%ALT[\t%GT]\n", str(split)]
    with subprocess.Popen(query, stdout=subprocess.PIPE) as told:
        for line in told.stdout or ():
            chrom, pos, ref, alt, calls = line.rstrip(b"\n").split(b"\t", 4)
            key = (chrom.decode(), int(pos), ref.decode(), alt.decode())
            if key not in found:
                found[key] = _row(calls)
    assert told.returncode == 0
    return found


def _row(calls: bytes) -> NDArray[np.int8]:
    whole = np.frombuffer(calls + b"\t", dtype=np.uint8)
    if len(whole) % 4 == 0 and bool((whole[3::4] == ord("\t")).all()) and b"." not in calls:
        copies: NDArray[np.int8] = (whole[0::4] == ord("1")).astype(np.int8) + (whole[2::4] == ord("1")).astype(np.int8)
        return copies
    return np.array([_copies(call.decode()) for call in calls.split(b"\t")], dtype=np.int8)


def _copies(call: str) -> int:
    alleles = call.replace("|", "/").split("/")
    if "." in alleles:
        return -1
    return alleles.count("1") * (2 if len(alleles) == 1 else 1)


def stored(vcf: Path, tmp_path: Path, panel_of: Path | None = None, build: str | None = None) -> GenotypeStore:
    panel = build_site_panel(panel_of or vcf, SiteChoice(200_000, min_maf=0.0))
    reading = CallReading(Rules(build=build))
    return build_store(vcf, panel, tmp_path / "store", max_absent=1.0, reading=reading)


def agree(store: GenotypeStore, theirs: Mapping[SiteKey, Sequence[int] | NDArray[np.int8]]) -> int:
    """Refuse a genotype that is another one; returns how many were compared."""
    ours = store.panel.to_minor(store.dosage()).T  # copies of ALT, [S, people]
    keys = [store.panel.key(site) for site in range(len(store.panel))]
    expected = np.array([theirs[key] for key in keys], dtype=np.int8)
    differ = np.argwhere(ours != expected)
    assert len(differ) == 0, (len(differ), keys[differ[0][0]])
    return int(ours.size)


def rewritten(vcf: Path, out: Path, change: Callable[[int, list[str]], None]) -> Path:
    """A copy with each record's fields changed."""
    number = 0
    with pysam.BGZFile(str(out), "wb") as sink:
        for line in run("bcftools", "view", vcf).splitlines():
            if line.startswith("#CHROM"):
                sink.write(b"##contig=<ID=X>\n")
            if not line.startswith("#"):
                fields = line.split("\t")
                fields[7] = "."  # counts of other alleles
                change(number, fields)
                number, line = number + 1, "\t".join(fields)
            sink.write((line + "\n").encode())
    return out


def test_real_files(real: Path, tmp_path: Path) -> None:
    compared = agree(stored(real, tmp_path), read_by_bcftools(real))
    assert compared >= PEOPLE * 100
    print(f"{compared} genotypes agree")


def test_several_alts_in_one_record(base: Path, tmp_path: Path) -> None:
    def change(number: int, fields: list[str]) -> None:
        if number % 2 == 0:  # every third carrier has another ALT; the asterisk is an allele, too
            bases = [base for base in "ACGT" if base not in (fields[3], fields[4])]
            fields[4] += f",{bases[0]}" + ",*" * (number % 4 == 0)
            fields[9:] = [call.replace("1", "2") if n % 3 == 0 else call for n, call in enumerate(fields[9:])]
            fields[9] = "1/3" if number % 4 == 0 else fields[9]

    made = rewritten(base, tmp_path / "made.vcf.gz", change)
    assert agree(stored(made, tmp_path), read_by_bcftools(made)) >= PEOPLE * 100


def test_indels(base: Path, tmp_path: Path) -> None:
    def change(number: int, fields: list[str]) -> None:
        if len(fields[3]) == len(fields[4]) == 1:
            anchor, inserted = fields[3], "ACGT"[number % 4] * (1 + number % 3)
            fields[3:5] = [anchor, anchor + inserted] if number % 2 else [anchor + inserted, anchor]
        if number % 5 == 0:
            fields[4] += "," + fields[3] + "GAT"  # an insertion beside it, in the same record
            fields[9:] = [call.replace("1", "2") if n % 4 == 0 else call for n, call in enumerate(fields[9:])]

    made = rewritten(base, tmp_path / "made.vcf.gz", change)
    assert agree(stored(made, tmp_path), _shortest(read_by_bcftools(made))) >= PEOPLE * 100


def _shortest(found: dict[SiteKey, NDArray[np.int8]]) -> dict[SiteKey, NDArray[np.int8]]:
    short: dict[SiteKey, NDArray[np.int8]] = {}
    for (chrom, *site), copies in found.items():
        short.setdefault((chrom, *trimmed(*site)), copies)  # type: ignore[arg-type]
    return short


def test_one_allele_of_males_on_x(base: Path, tmp_path: Path) -> None:
    def change(number: int, fields: list[str]) -> None:
        fields[:2] = ["X", str(3_000_000 + 10 * number)]
        fields[9:] = [call[0] if n % 2 else call for n, call in enumerate(fields[9:])]

    made = rewritten(base, tmp_path / "made.vcf.gz", change)
    store = stored(made, tmp_path, build="GRCh38")
    assert agree(store, read_by_bcftools(made)) >= PEOPLE * 100


def test_blocks_of_a_gvcf(base: Path, tmp_path: Path) -> None:
    """One person's reference calls become blocks; bcftools writes them out again, with a FASTA of their REFs."""
    name = run("bcftools", "query", "-l", base).split()[0]
    own = tmp_path / "own.vcf.gz"
    run("bcftools", "view", "-s", name, "-v", "snps", "-m2", "-M2", "-Oz", "-o", own, base)
    rows = [line.split("\t") for line in run("bcftools", "view", "-H", own).splitlines()]
    carried = [int(fields[1]) for fields in rows if "1" in fields[9][:3]]
    last = 0
    lines = []
    for fields in rows:
        at, info = int(fields[1]), "."
        if "1" not in fields[9][:3]:
            if at <= last or at in carried:
                continue
            last = min([at + 40, *(one - 1 for one in carried if one > at)])
            fields[4], info = ".", f"END={last}"
        lines.append("\t".join([*fields[:7], info, "GT", fields[9][:3]]))
    end = '##INFO=<ID=END,Number=1,Type=Integer,Description="last base of the block">'
    header = run("bcftools", "view", "-h", own).replace("##contig", f"{end}\n##contig", 1)
    made = tmp_path / "made.vcf.gz"
    with pysam.BGZFile(str(made), "wb") as sink:
        sink.write((header + "\n".join(lines) + "\n").encode())
    panel = build_site_panel(own, SiteChoice(200_000, min_maf=0.0))
    store = build_store(made, panel, tmp_path / "store", max_absent=1.0)
    theirs = _expanded(made, panel, tmp_path)
    ours = panel.to_minor(store.dosage())[0]
    assert {panel.key(site)[:2]: int(copies) for site, copies in enumerate(ours) if copies >= 0} == theirs


def _expanded(gvcf: Path, panel: SitePanel, folder: Path) -> dict[tuple[str, int], int]:
    """bcftools' own reading: blocks written out base by base, copies of ALT at the panel's places."""
    bases: dict[str, bytearray] = {}
    for chrom, pos, ref in zip(panel.chrom, panel.pos.tolist(), panel.ref, strict=True):
        text = bases.setdefault(chrom, bytearray())
        text.extend(b"A" * (pos + 100 - len(text)))
        text[pos - 1 : pos] = ref.encode()
    fasta = folder / "own.fa"
    fasta.write_text("".join(f">{chrom}\n{text.decode()}\n" for chrom, text in bases.items()))
    pysam.faidx(str(fasta))
    pysam.tabix_index(str(gvcf), preset="vcf", force=True)
    out = run("bcftools", "convert", "--gvcf2vcf", "-f", fasta, gvcf)
    wanted = {(chrom, pos) for chrom, pos in zip(panel.chrom, panel.pos.tolist(), strict=True)}
    rows = [line.split("\t") for line in out.splitlines() if not line.startswith("#")]
    return {(row[0], int(row[1])): _copies(row[9]) for row in rows if (row[0], int(row[1])) in wanted}


@pytest.mark.skipif(shutil.which("plink2") is None, reason="needs plink2")
def test_plink2_reads_the_same(real: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.vcf.gz"
    run("bcftools", "view", "-v", "snps", "-m2", "-M2", "-c1", "-Oz", "-o", small, real)
    run(
        "plink2",
        "--vcf",
        small,
        "--set-all-var-ids",
        "@:#:$r:$a",
        "--export",
        "A-transpose",
        "--out",
        tmp_path / "read",
    )
    theirs: dict[SiteKey, list[int]] = {}
    for line in (tmp_path / "read.traw").read_text().splitlines()[1:]:
        fields = line.split("\t")
        chrom, pos, ref, alt = fields[1].split(":")
        counted = [-1 if one == "NA" else int(one) for one in fields[6:]]
        copies = counted if fields[4] == alt else [2 - one if one >= 0 else -1 for one in counted]
        theirs.setdefault((chrom, int(pos), ref, alt), copies)
    assert agree(stored(small, tmp_path), theirs) >= PEOPLE * 10  # few of the smallest file's records are plain
