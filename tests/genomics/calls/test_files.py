"""Whole files through the store: each kind of trouble in one, and what `afml prepare` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pysam
import pytest

from afml.core.errors import InputError
from afml.genomics import build
from afml.genomics.build import build_store
from afml.genomics.calls.account import CallReading, Sexes
from afml.genomics.calls.site_calls import Rules
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.kind import GENOTYPES
from afml.genomics.options import GenotypeOptions
from afml.genomics.sites import SitePanel
from afml.genomics.sources.vcf import VariantFile
from tests.genomics.calls.lines import panel_of
from tests.simulated import simulate_dosage, write_records, write_vcf

PANEL = panel_of("22 10 A C", "22 20 AT A", "22 30 G T", "X 5000000 A C")
LENGTHS = {"GRCh37": 51304566, "GRCh38": 50818468}


def contig(build: str) -> str:
    return f"##contig=<ID=22,length={LENGTHS[build]}>"


def copies(
    vcf: Path, panel: SitePanel, reading: CallReading | None = None, processes: int | None = None
) -> list[list[int]]:
    store = build_store(vcf, panel, vcf.with_suffix(".zarr"), max_absent=1.0, reading=reading, processes=processes)
    return [[int(one) for one in row] for row in panel.to_minor(store.dosage()).T]


def test_an_unsorted_file_of_every_kind(tmp_path: Path) -> None:
    rows = [
        "23 5000000 . A C . . . GT 1 0/1 0 .",
        "22 25 . C <NON_REF> . . END=40 GT 0/0 0/0 0/0 ./.",
        "22 20 . A AT . . . GT 1/1 1/1 1/1 1/1",
        "22 19 . CATG CAG,CATTG . PASS . GT 0/1 1/2 0/2 1/1",
        "22 10 . C A . q10 . GT 0/0 0/0 0/0 0/0",
        "22 10 . C A,A . PASS . GT 0/2 1/2 0/0 ./.",
    ]
    write_records(tmp_path / "own.vcf.gz", rows, "abcd")
    reading = CallReading()
    expected = [[1, 0, 2, -1], [1, 1, 0, 2], [0, 0, 0, -1], [2, 1, 0, -1]]
    assert copies(tmp_path / "own.vcf.gz", PANEL, reading) == expected
    assert reading.account().counts == {
        "records": 6, "records_matched": 5, "records_failed": 1, "calls_hemizygous": 2, "sites_swapped": 1,
        "sites_covered": 1,
    }  # fmt: skip
    with VariantFile(tmp_path / "own.vcf.gz") as opened:  # nothing but the file decided
        assert opened.samples == list("abcd")


def test_files_that_both_speak_of_a_site_are_one_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_records(
        tmp_path / "one.vcf.gz", ["22 10 . A C . . . GT 0/1 ./. 0/0", "22 30 . G T . q . GT 0/1 0/1 0/1"], "abc"
    )
    write_records(
        tmp_path / "two.vcf.gz", ["22 10 . A C . . . GT 0/1 1/1 0/1", "22 30 . G T . . . GT 0/0 1/1 ./."], "abc"
    )
    files = [tmp_path / "one.vcf.gz", tmp_path / "two.vcf.gz"]
    monkeypatch.setattr(build, "_SITES_PER_CHUNK", 1)  # so that two processes have something to write, too
    for processes in (1, 2, 3):
        store = build_store(files, PANEL, tmp_path / "store", max_absent=1.0, processes=processes)
        found = PANEL.to_minor(store.dosage()).T.tolist()
        assert found == [[1, 2, -1], [-1] * 3, [0, 2, -1], [-1] * 3]


def test_the_sexes_of_a_table_meet_the_calls(tmp_path: Path) -> None:
    panel = panel_of(*(f"X {5_000_000 + 1_000_000 * n} A C" for n in range(30)))
    texts = [[f"{n % 2}" if person % 2 else f"{n % 2}/{n // 3 % 2}" for person in range(24)] for n in range(30)]
    rows = [f"X {5_000_000 + 1_000_000 * n} . A C . . . GT {' '.join(row)}" for n, row in enumerate(texts)]
    names = [f"S{person}" for person in range(24)]
    write_records(tmp_path / "own.vcf.gz", rows, names)

    def table(sexes: Sequence[str]) -> CallReading:
        (tmp_path / "ph.tsv").write_text(
            "sample\tsex\n" + "".join(f"{n}\t{s}\n" for n, s in zip(names, sexes, strict=True))
        )
        return CallReading(Rules(build="GRCh38"), Sexes(tmp_path / "ph.tsv"))

    right = table(["F", "M"] * 12)
    copies(tmp_path / "own.vcf.gz", panel, right)
    assert right.account().sexes.disagree == 0
    one_wrong = table(["F", "M"] * 11 + ["F", "F"])
    found = copies(tmp_path / "own.vcf.gz", panel, one_wrong)
    assert one_wrong.account().sexes.disagree == 1
    assert {row[23] for row in found} == {-1}
    assert "sex: of 1 people the table and the calls on X say different things" in one_wrong.account().remarks()
    with pytest.raises(
        InputError, match=r"the sex of 24 of 24 people is not that of their calls on X; code it as M and F"
    ):
        copies(tmp_path / "own.vcf.gz", panel, table(["M", "F"] * 12))


def test_another_reference_base_at_many_places_is_another_build(tmp_path: Path) -> None:
    panel = panel_of(*(f"22 {10 * n} A C" for n in range(1, 61)))
    rows = [f"22 {10 * n} . {'T A' if n % 5 == 0 else 'A C'} . . . GT 0/1 0/0" for n in range(1, 61)]
    write_records(tmp_path / "own.vcf.gz", rows, "ab")
    with pytest.raises(InputError, match=r"has another base at 12 of the panel's sites .*12 another reference base"):
        copies(tmp_path / "own.vcf.gz", panel)


def test_sites_of_the_other_strand_are_turned_and_counted(tmp_path: Path) -> None:
    panel = panel_of(*(f"22 {10 * n} A C" for n in range(1, 61)))
    spelled = ["A C", "T G", "C A", "G T"]
    for name, alleles in (("own", lambda n: spelled[n % 2]), ("mixed", lambda n: spelled[n % 4])):
        calls = [["0/0 0/1 1/1", "1/1 0/1 0/0"][n % 4 > 1 and name == "mixed"] for n in range(1, 61)]
        rows = [f"22 {10 * n} . {alleles(n)} . . . GT {calls[n - 1]}" for n in range(1, 61)]
        write_records(tmp_path / f"{name}.vcf.gz", rows, "abc")
        reading = CallReading()
        assert copies(tmp_path / f"{name}.vcf.gz", panel, reading) == [[0, 1, 2]] * 60
        assert reading.account().counts["sites_flipped"] == 30
        assert reading.account().counts.get("sites_swapped", 0) == (30 if name == "mixed" else 0)


def test_the_panel_is_chosen_by_the_same_rules(tmp_path: Path) -> None:
    rows = [
        "22 10 . A C . q10 . GT 0/1 0/1 0/1 0/1",
        "22 10 . A C . . . GT 0/1 0/0 0/0 0/0",
        "22 20 . A G,G . . . GT 0/1 0/2 1/2 0/0",
        "22 30 . A A . . . GT 0/1 0/1 0/1 0/1",
        "X 5000000 . A C . . . GT 0/1 1 0 0/0",
    ]
    write_records(tmp_path / "panel.vcf.gz", rows, "abcd")
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(10))
    assert [panel.key(site) for site in range(len(panel))] == [
        ("22", 10, "A", "C"), ("22", 20, "A", "G"), ("X", 5_000_000, "A", "C"),
    ]  # fmt: skip
    assert panel.maf.tolist() == [1 / 8, 0.5, 2 / 6]
    other = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(10, filters="any"))
    assert other.maf.tolist()[0] == 0.5


@pytest.fixture
def institution(tmp_path: Path) -> GenotypeOptions:
    dosage = simulate_dosage(60, 24, seed=3)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:40])
    write_vcf(tmp_path / "own.vcf.gz", dosage[40:], samples=[f"N{person}" for person in range(20)])
    return GenotypeOptions(
        vcf=(tmp_path / "own.vcf.gz",), panel_vcf=(tmp_path / "panel.vcf.gz",), sites=16,
        max_frequency_difference=1.0, min_site_call_rate=0.0,
    )  # fmt: skip


def prepared(options: GenotypeOptions, out: Path) -> tuple[str, ...]:
    for part in ("public", "private"):
        (out / part).mkdir(parents=True, exist_ok=True)
    GENOTYPES.build(out, options, lambda what: None)
    return GENOTYPES.remarks(out)


def headed(vcf: Path, out: Path, line: str) -> Path:
    """A copy with another contig line."""
    text = pysam.BGZFile(str(vcf)).read().replace(b"##contig=<ID=22>", line.encode())
    with pysam.BGZFile(str(out), "wb") as sink:
        sink.write(text)
    return out


def test_preparing_says_the_build_and_refuses_another(institution: GenotypeOptions, tmp_path: Path) -> None:
    files = {
        build: (headed(institution.vcf[0], tmp_path / f"own.{build}.vcf.gz", contig(build)),
                headed(institution.panel_vcf[0], tmp_path / f"panel.{build}.vcf.gz", contig(build)))
        for build in LENGTHS
    }  # fmt: skip
    of_38 = institution.model_copy(update={"vcf": files["GRCh38"][:1], "panel_vcf": files["GRCh38"][1:]})
    said = prepared(of_38, tmp_path / "same")
    assert "genome build: GRCh38" in said
    assert any(line.startswith("quality: FILTER and FT: PASS or none (--filters); GQ: not looked at") for line in said)
    with pytest.raises(InputError, match=r"another build of the genome .*here contig 22 of 51304566 bases, GRCh37"):
        prepared(of_38.model_copy(update={"vcf": files["GRCh37"][:1]}), tmp_path / "other")


def test_preparing_with_a_reference(institution: GenotypeOptions, tmp_path: Path) -> None:
    fasta = tmp_path / "ref.fa"
    fasta.write_text(">22\n" + "A" * 4000 + "\n")  # simulated sites are all A>G
    pysam.faidx(str(fasta))
    prepared(institution.model_copy(update={"fasta": fasta}), tmp_path / "kept")
    fasta.write_text(">21\n" + "A" * 4000 + "\n")
    pysam.faidx(str(fasta))
    with pytest.raises(InputError, match="shares no contig with the site panel"):
        prepared(institution.model_copy(update={"fasta": fasta}), tmp_path / "refused")


def test_the_shared_cases(tmp_path: Path) -> None:
    """Small inputs that go wrong, where they are present: right, or one clear line."""
    cases = Path(__file__).parents[3].parent / "shared" / "cases" / "genomes"
    if not cases.is_dir():
        pytest.skip("no shared cases beside this checkout")
    refused = {"asmheader": "another build", "filtersite": "40 failed FILTER", "blank": "line 27 is blank"}
    absent = {"insonly": "other alleles", "palflip": "the other strand"}
    for case in (
        "dupalt",
        "dupsite",
        "insdel",
        "insdelmulti",
        "nonrefonly",
        "plink23",
        "xhapcohort",
        *refused,
        *absent,
    ):
        panel = build_site_panel(cases / case / "p.vcf.gz", SiteChoice(40))
        reading, own = CallReading(), cases / case / "c.vcf.gz"
        site = next((n for n in range(len(panel)) if panel.key(n)[:2] == ("22", 1500)), 0)
        if case in refused:
            options = GenotypeOptions(vcf=(own,), panel_vcf=(cases / case / "p.vcf.gz",), sites=40)
            with pytest.raises(InputError, match=refused[case]):
                prepared(options, tmp_path / case)
            continue
        store = build_store(own, panel, tmp_path / case, reading=reading)
        row = panel.to_minor(store.dosage())[:, site]
        assert reading.tally is not None
        if case in absent:
            assert (row == -1).all()
            assert absent[case] in next(iter(reading.tally.absent()))
        else:
            assert row[:8].tolist() == ([0] * 8 if case == "nonrefonly" else [0, 0, 1, 2, 0, 1, 1, 1])
            assert reading.tally.called.all()
        if case == "xhapcohort":
            assert np.array_equal(np.unique(store.dosage()[:, np.array(panel.chrom) == "X"] < 0), [False])
