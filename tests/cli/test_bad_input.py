"""Every kind of bad input: one line that says what, where and how to mend it; nothing written, nothing lost."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.store import GenotypeStore
from crypto.secret.provision import provision
from tests.cli.zygote import Outcome, Zygote
from tests.simulated import simulate_dosage, write_records, write_vcf

PEOPLE, PANEL, SITES = 40, 60, 32


class Institution:
    """Good inputs that a test spoils one of."""

    def __init__(self, root: Path, afml: Zygote) -> None:
        self.root, self._afml = root, afml
        dosage = simulate_dosage(PANEL + PEOPLE, SITES + 8, seed=3)
        self.names = [f"N{i}" for i in range(PEOPLE)]
        self.dosage = dosage[PANEL:]
        write_vcf(root / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
        write_vcf(root / "own.vcf.gz", self.dosage, samples=self.names)
        self.values = np.arange(PEOPLE, dtype=np.int8) % 2
        write_phenotypes(root / "people.tsv", self.names, self.values)
        provision(root / "kits", "test", 2)

    def prepare(self, node: int = 1, **changes: object) -> Outcome:
        options = {
            "--kit": self.root / "kits" / f"node-{node}", "--vcf": self.root / "own.vcf.gz",
            "--panel-vcf": self.root / "panel.vcf.gz", "--phenotypes": self.root / "people.tsv",
            "--work": self.root / f"work-{node}", "--sites": SITES, "--seed": 7,
        } | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}  # fmt: skip
        return self._afml("prepare", *[part for pair in options.items() for part in pair])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, afml: Zygote) -> Institution:
    made = Institution(tmp_path_factory.mktemp("an institution"), afml)
    for node in (1, 2):
        done = made.prepare(node)
        assert done.code == 0, done.err
    return made


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, lock files apart."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def untouched(good: Institution) -> Iterator[None]:
    """Whatever the test does, what the institution had is still there, and nothing else is."""
    before = listing(good.root)
    yield
    assert listing(good.root) == before


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path


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
    store = GenotypeStore.open(scratch / "work" / "cohort.zarr")
    assert store.absent == 0
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
        work=scratch / "work", sites=8, holdout=0,
    )  # fmt: skip
    assert done.code == 0, done.err
    store = GenotypeStore.open(scratch / "work" / "cohort.zarr")
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
    assert "the institutions disagree on the site panel (nodes [1]: " in line
    assert "nodes [2]: " in line
    assert "run `afml prepare` everywhere with the same panel VCF" in line
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


# -- the demo ----------------------------------------------------------------------------------------


def test_vcf_and_panel_go_together(scratch: Path, good: Institution, afml: Zygote) -> None:
    line = afml("demo", "--out", scratch / "demo", "--vcf", good.root / "own.vcf.gz").complaint()
    assert "--vcf and --panel go together; give both, or neither to simulate" in line
    assert not (scratch / "demo").exists()


def test_a_demo_never_clears_a_folder_it_did_not_make(scratch: Path, afml: Zygote) -> None:
    (scratch / "mine").mkdir()
    (scratch / "mine" / "thesis.txt").write_text("years of work")
    line = afml("demo", "--out", scratch / "mine").complaint()
    assert f"{scratch / 'mine'}: exists and was not made by a demo; choose another --out" in line
    assert (scratch / "mine" / "thesis.txt").read_text() == "years of work"
    (scratch / "file").write_text("a file")
    line = afml("demo", "--out", scratch / "file").complaint()
    assert str(scratch / "file") in line
    assert (scratch / "file").read_text() == "a file"


def test_a_demo_on_a_missing_vcf_writes_nothing(scratch: Path, afml: Zygote) -> None:
    none = scratch / "none.vcf.gz"
    line = afml("demo", "--out", scratch / "demo", "--vcf", none, "--panel", scratch / "p.tsv").complaint()
    assert f"{none}: VCF does not exist; correct VCF=" in line
    assert not (scratch / "demo").exists()


def test_a_demo_on_a_truncated_vcf_keeps_the_last_demo(scratch: Path, good: Institution, afml: Zygote) -> None:
    out = scratch / "demo"
    out.mkdir()
    (out / ".afml-demo").touch()
    (out / "report.json").write_text("{}")
    table, cut = scratch / "people.tsv", scratch / "cut.vcf.gz"
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in good.names))
    cut.write_bytes((good.root / "own.vcf.gz").read_bytes()[:-200])
    line = afml("demo", "--out", out, "--vcf", cut, "--panel", table).complaint()
    assert f"{cut}: VCF is truncated" in line
    assert (out / "report.json").exists()


@pytest.mark.parametrize("spoilt", ["missing sample", "too few people", "too few simulated people"])
def test_a_demo_that_cannot_be_split_keeps_the_last_demo(
    scratch: Path, good: Institution, afml: Zygote, spoilt: str
) -> None:
    out, table = scratch / "demo", scratch / "people.tsv"
    out.mkdir()
    (out / ".afml-demo").touch()
    (out / "report.json").write_text("{}")
    names = good.names[1:] if spoilt == "missing sample" else good.names
    table.write_text("sample\tpopulation\n" + "".join(f"{name}\tA\n" for name in names))
    data = () if "simulated" in spoilt else ("--vcf", good.root / "own.vcf.gz", "--panel", table)
    people = {"missing sample": 10, "too few people": PEOPLE - 4, "too few simulated people": 2496}[spoilt]
    line = afml("demo", "--out", out, *data, "--panel-people", people, "--nodes", 5).complaint()
    assert ("lacks sample N0" if spoilt == "missing sample" else "people are too few for a panel of") in line
    assert (out / "report.json").exists()


@pytest.mark.parametrize("options", [["--nodes", 2], ["--nodes", "many"], ["--sites", 0], ["--unknown"]])
def test_impossible_options(scratch: Path, afml: Zygote, options: list[object]) -> None:
    afml("demo", "--out", scratch / "demo", *options).complaint()
    assert not (scratch / "demo").exists()


def test_an_unknown_command_and_a_folder_that_may_not_be_written(scratch: Path, afml: Zygote) -> None:
    assert "No such command" in afml("frobnicate").complaint()
    blocked = scratch / "blocked"
    blocked.write_text("a file where a folder should go")
    done = afml("provision", "--out", blocked / "kits", "--nodes", 2)
    assert done.code == 1
    assert done.err.splitlines() == [f"afml: {blocked}: File exists"]
