"""Every kind of bad input: one line that says what, where and how to mend it; nothing written, nothing lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.store import GenotypeStore
from tests.cli.institution import SITES, Institution, listing
from tests.cli.zygote import Zygote
from tests.simulated import write_records, write_vcf

# -- VCF files ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untouched")
def test_a_missing_vcf(good: Institution) -> None:
    for option in ("vcf", "panel_vcf", "phenotypes"):
        line = good.prepare(**{option: good.root / "nowhere.gz"}).complaint()
        assert f"{good.root / 'nowhere.gz'}: " in line
        assert "does not exist; check the path" in line


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.97])
@pytest.mark.parametrize("option", ["vcf", "panel_vcf"])
def test_a_truncated_vcf(good: Institution, scratch: Path, keep: float, option: str) -> None:
    data = (good.root / "own.vcf.gz").read_bytes()
    cut = scratch / "cut.vcf.gz"
    cut.write_bytes(data[: int(len(data) * keep)])
    line = good.prepare(**{option: cut}).complaint()
    assert str(cut) in line
    assert "truncated" in line or "is empty" in line
    assert "restore the file" in line


@pytest.mark.usefixtures("untouched")
def test_a_damaged_block_in_the_middle(good: Institution, scratch: Path) -> None:
    data = bytearray((good.root / "own.vcf.gz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    spoilt = scratch / "spoilt.vcf.gz"
    spoilt.write_bytes(data)
    line = good.prepare(vcf=spoilt).complaint()
    assert str(spoilt) in line


@pytest.mark.usefixtures("untouched")
def test_a_vcf_that_is_not_bgzipped(good: Institution, scratch: Path) -> None:
    plain = scratch / "plain.vcf"
    plain.write_text("##fileformat=VCFv4.3\n")
    assert "is not bgzipped; compress it with bgzip" in good.prepare(vcf=plain).complaint()


# -- people ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("untouched")
def test_samples_without_a_phenotype(good: Institution, scratch: Path) -> None:
    write_phenotypes(scratch / "some.tsv", good.names[3:], good.values[3:])
    line = good.prepare(phenotypes=scratch / "some.tsv").complaint()
    assert str(scratch / "some.tsv") in line
    assert "3 of 40 samples have no phenotype (N0, N1, N2)" in line
    assert "add their lines" in line


@pytest.mark.usefixtures("untouched")
def test_a_bad_line_in_the_phenotype_table(good: Institution, scratch: Path) -> None:
    table = scratch / "bad.tsv"
    table.write_text("sample\tphenotype\nN0\t1\nN1\t7\n")
    line = good.prepare(phenotypes=table).complaint()
    assert "line 3 has no phenotype 0 or 1" in line
    assert "7" not in line.replace(str(table), ""), "no message repeats a value"


@pytest.mark.usefixtures("untouched")
def test_samples_that_the_people_table_lacks(good: Institution, scratch: Path, afml: Zygote) -> None:
    table = scratch / "people.tsv"
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in good.names[1:]))
    out = scratch / "out"
    done = afml("split", good.root / "own.vcf.gz", "--people", table, "--out", out, "--nodes", 2,
                "--panel-people", 10)  # fmt: skip
    assert f"{table}: lacks sample N0 of own.vcf.gz; add their lines to the table" in done.complaint()
    assert not out.exists() or listing(out) == {}


def test_splitting_a_truncated_vcf_leaves_nothing_and_keeps_earlier_parts(
    good: Institution, scratch: Path, afml: Zygote
) -> None:
    table, out = scratch / "people.tsv", scratch / "out"
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in good.names))
    options = ("--people", table, "--out", out, "--nodes", 2, "--panel-people", 10)
    assert afml("split", good.root / "own.vcf.gz", *options).code == 0
    before = listing(out)
    cut = scratch / "cut.vcf.gz"
    cut.write_bytes((good.root / "own.vcf.gz").read_bytes()[:-200])
    assert f"{cut}: VCF is truncated" in afml("split", cut, *options).complaint()
    assert listing(out) == before


@pytest.mark.usefixtures("untouched")
def test_too_few_people_to_split(good: Institution, scratch: Path, afml: Zygote) -> None:
    table = scratch / "people.tsv"
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in good.names))
    done = afml("split", good.root / "own.vcf.gz", "--people", table, "--out", scratch / "out")
    assert "40 people are too few for a panel of 500 and 5 nodes" in done.complaint()


# -- sites -------------------------------------------------------------------------------------------


def test_chr22_and_22_are_the_same_chromosome(good: Institution, scratch: Path) -> None:
    prefixed, bed = scratch / "chr.vcf.gz", scratch / "regions.bed"
    write_vcf(prefixed, good.dosage, samples=good.names, chrom="chr22")
    bed.write_text("chr22\t0\t1500\n")  # the sites at 1000 .. 1500, spelled otherwise than in the panel
    done = good.prepare(vcf=prefixed, work=scratch / "work", exclude=bed)
    assert done.code == 0, done.err
    store = GenotypeStore.open(scratch / "work" / "data" / "private" / "cohort.zarr")
    assert store.absent_sites == 0
    assert min(store.panel.pos) > 1500


@pytest.mark.usefixtures("untouched")
def test_files_of_different_chromosomes_are_refused(good: Institution, scratch: Path) -> None:
    other, bed = scratch / "other.vcf.gz", scratch / "regions.bed"
    write_vcf(other, good.dosage, samples=good.names, chrom="chr7")
    line = good.prepare(vcf=other).complaint()
    assert f"{other}: shares no contig with the site panel ('chr7' here, '22' there)" in line
    bed.write_text("chr7\t0\t100\n")
    line = good.prepare(exclude=bed).complaint()
    assert f"{bed}: shares no contig with " in line


@pytest.mark.usefixtures("untouched")
def test_a_bad_bed_line(good: Institution, scratch: Path) -> None:
    bed = scratch / "regions.bed"
    bed.write_text("22\t10\t20\n22\tten\t20\n")
    assert f"{bed}: line 2 is not 'contig, start, end'" in good.prepare(exclude=bed).complaint()


@pytest.mark.usefixtures("untouched")
def test_no_site_left_after_the_filters(good: Institution, scratch: Path) -> None:
    line = good.prepare(min_maf=0.5001).complaint()
    assert f"{good.root / 'panel.vcf.gz'}: no site is left of {SITES + 8}" in line
    assert "MAF below 0.5001" in line
    bed = scratch / "all.bed"
    bed.write_text("22\t0\t1000000\n")
    assert f"{SITES + 8} in an excluded region" in good.prepare(exclude=bed).complaint()


@pytest.mark.usefixtures("untouched")
def test_a_vcf_without_the_panels_sites(good: Institution, scratch: Path) -> None:
    few = scratch / "few.vcf.gz"
    write_vcf(few, good.dosage, samples=good.names, keep=range(4))
    line = good.prepare(vcf=few).complaint()
    assert f"{few}: lacks " in line
    assert "use a VCF of the same assembly" in line


def test_multi_allelic_and_missing_genotypes_are_not_reference(scratch: Path, good: Institution) -> None:
    """Sites split from one record, half calls and missing calls: -1 where unknown, never 0."""
    people = [f"A{i}" for i in range(6)]
    record = "22 1000 . A G,T . PASS . GT 0/1 1/2 ./. 0/. 2/2 0/0"
    other = "22 2000 . C T . PASS . GT 0/1 1/1 0/0 0/1 0/0 0/1"
    write_records(scratch / "own.vcf.gz", [record, other], people)
    panel = [record.replace("./.", "0/1").replace("0/.", "0/2"), other]
    write_records(scratch / "panel.vcf.gz", panel, people)
    write_phenotypes(scratch / "p.tsv", people, np.array([0, 1, 0, 1, 0, 1], dtype=np.int8))
    done = good.prepare(
        vcf=scratch / "own.vcf.gz", panel_vcf=scratch / "panel.vcf.gz", phenotypes=scratch / "p.tsv",
        work=scratch / "work", sites=8, holdout=0, min_person_call_rate=0, min_site_call_rate=0,
    )  # fmt: skip
    assert done.code == 0, done.err
    store = GenotypeStore.open(scratch / "work" / "data" / "private" / "cohort.zarr")
    keys = [store.panel.key(site)[1:] for site in range(len(store.panel))]
    assert keys == [(1000, "A", "G"), (1000, "A", "T"), (2000, "C", "T")]
    copies = store.panel.to_minor(store.dosage())  # back to copies of ALT
    assert copies[:, 0].tolist() == [1, 1, -1, -1, 0, 0]
    assert copies[:, 1].tolist() == [0, 1, -1, -1, 2, 0]


# -- agreement ---------------------------------------------------------------------------------------


def test_site_panels_that_disagree_are_named(good: Institution, scratch: Path, afml: Zygote) -> None:
    assert good.prepare(2, work=scratch / "work-2", sites=SITES - 2).code == 0
    out = scratch / "run.json"
    cards = (good.root / "work-1" / "card.json", scratch / "work-2" / "card.json")
    line = afml("configure", *cards, "--kit", good.root / "kits" / "coordinator", "--out", out).complaint()
    assert "the institutions disagree on their data (nodes [1]: " in line
    assert "nodes [2]: " in line
    assert "run `afml prepare` everywhere with the same panel, exclusions and site count" in line
    assert not out.exists()


@pytest.mark.usefixtures("untouched")
def test_a_card_that_its_node_did_not_sign(good: Institution, scratch: Path, afml: Zygote) -> None:
    card = scratch / "card.json"
    card.write_text((good.root / "work-1" / "card.json").read_text().replace('"node": 1', '"node": 2'))
    kit = good.root / "kits" / "coordinator"
    line = afml("configure", card, "--kit", kit, "--out", scratch / "run.json").complaint()
    assert f"{card}: signature does not match" in line
    line = afml("configure", scratch / "none.json", "--kit", kit, "--out", scratch / "run.json").complaint()
    assert f"{scratch / 'none.json'}: " in line
    twice = good.root / "work-1" / "card.json"
    line = afml("configure", twice, twice, "--kit", kit, "--out", scratch / "run.json").complaint()
    assert "is a second card of node 1" in line
    assert listing(scratch) == {"card.json": listing(scratch)["card.json"]}


# -- failure in the middle ---------------------------------------------------------------------------


def test_a_failed_preparation_keeps_the_work_that_was_there(good: Institution, scratch: Path) -> None:
    """The stores, the sites, the people, the ledger: all as before, so that the institution can go on."""
    work = scratch / "work"
    shutil.copytree(good.root / "work-1", work)
    before = listing(work)
    # The phenotype table is read after the stores are built: everything until then must be undone.
    write_phenotypes(scratch / "some.tsv", good.names[3:], good.values[3:])
    good.prepare(work=work, phenotypes=scratch / "some.tsv", sites=SITES - 4).complaint()
    assert listing(work) == before
