"""A panel in one file: what is written is what is read, a changed one is refused, and preparing with it is the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from afml.core.errors import AfmlError, InputError
from afml.genomics import panelfile
from afml.genomics.build import build_store
from afml.genomics.calls.assembly import Assembly, read_assembly
from afml.genomics.choice import SiteChoice, choose_sites
from afml.genomics.files import GenotypeFiles
from afml.genomics.kind import GENOTYPES, GenotypeOptions
from afml.genomics.panelfile import difference, facts, read_panel, write_panel
from afml.genomics.store import GenotypeStore
from tests.simulated import simulate_dosage, write_vcf

SITES = 30


@given(arrays(np.int8, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=st.integers(-1, 2)))
def test_calls_are_packed_without_loss(copies: np.ndarray) -> None:
    packed = panelfile._packed(copies)
    assert len(packed) == copies.shape[0] * panelfile._row_bytes(copies.shape[1])
    assert np.array_equal(panelfile._unpacked(packed, *copies.shape), copies)


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    dosage = simulate_dosage(60, SITES + 4, seed=2)
    own = dosage.copy()
    own[3, 5] = -1
    write_vcf(tmp_path / "panel.vcf.gz", own[:41])
    write_vcf(tmp_path / "own.vcf.gz", dosage[41:], samples=[f"N{i}" for i in range(19)])
    return tmp_path / "panel.vcf.gz"


def make(vcf: Path, name: str = "panel.afml", sites: int = SITES) -> Path:
    chosen = choose_sites(vcf, SiteChoice(sites))
    write_panel(vcf.parent / name, chosen, build_store(vcf, chosen.panel, vcf.parent / "scratch"), read_assembly(vcf))
    return vcf.parent / name


def test_preparing_with_the_file_is_preparing_with_the_vcf(vcf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panelfile, "_BYTES_AT_ONCE", 100)  # several blocks
    options = {"vcf": vcf.parent / "own.vcf.gz"}
    built = []
    for name, panel in (("a", {"panel_vcf": vcf, "sites": SITES}), ("b", {"site_panel": make(vcf)})):
        (vcf.parent / name).mkdir()
        given_options = GenotypeOptions.model_validate(options | panel)
        built.append(GENOTYPES.build(vcf.parent / name, given_options, lambda text: None))
    assert built[0].data == built[1].data
    ours, theirs = (GenotypeStore.open(GenotypeFiles(vcf.parent / name).panel_store) for name in "ab")
    assert np.array_equal(ours.dosage(), theirs.dosage())
    assert ours.samples == theirs.samples
    reports = [json.loads(GenotypeFiles(vcf.parent / name).qc.read_bytes())["may_leave"] for name in "ab"]
    assert reports[0] == reports[1]


def test_the_same_panel_has_the_same_digest_and_another_one_differs(vcf: Path) -> None:
    one, again, other = make(vcf), make(vcf, "again.afml"), make(vcf, "other.afml", SITES - 5)
    assert one.read_bytes() == again.read_bytes()
    assert difference(read_panel(one), read_panel(again)) == []
    lines = difference(read_panel(one), read_panel(other))
    assert lines[:2] == [f"sites in both: {SITES - 5}", "sites in panel.afml alone: 5"]
    assert lines[-2:] == [
        "people: 41 and 41, 41 of the same name in both",
        "their calls: not compared, as the sites are not the same",
    ]
    told = dict(facts(read_panel(one)))
    assert told["digest"] == read_panel(one).digest()
    assert told["people"] == "41 people"


@pytest.mark.parametrize("member", ["about.json", "sites.tsv", "people.txt", "calls.bin"])
def test_a_changed_or_incomplete_file_is_refused(vcf: Path, member: str) -> None:
    whole = make(vcf)
    with zipfile.ZipFile(whole) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for spoilt in (None, content[member][1:], content[member][:-2] + bytes([content[member][-2] ^ 1, 10])):
        bad = vcf.parent / "bad.afml"
        with zipfile.ZipFile(bad, "w") as archive:
            for name, data in content.items():
                if name != member or spoilt is not None:
                    archive.writestr(name, data if name != member else spoilt)
        with pytest.raises(AfmlError) as refused:
            read_panel(bad).require_whole()
        assert "\n" not in str(refused.value)
    bad.write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(InputError, match="is not a panel file; make one with `afml panel create`"):
        read_panel(bad)


def test_a_panel_of_frequencies_holds_nobody_and_draws_the_same_people(tmp_path: Path) -> None:
    rows = [f"22\t{1000 + 10 * n}\tA\tC\t{0.1 + n / 100:g}" for n in range(20)]
    (tmp_path / "f.tsv").write_text("#CHROM\tpos\tREF\tALT\tAF\n" + "\n".join(rows) + "\n")
    chosen = choose_sites(tmp_path / "f.tsv", SiteChoice(12, drawn_people=30))
    write_panel(tmp_path / "f.afml", chosen, None, Assembly({}))
    held = read_panel(tmp_path / "f.afml")
    assert (held.people, held.sites.drawn_people, len(held.sites)) == ([], 30, 12)
    assert held.sites.digest() == chosen.panel.digest()
    write_panel(
        tmp_path / "g.afml", choose_sites(tmp_path / "f.tsv", SiteChoice(12, drawn_people=40)), None, Assembly({})
    )
    apart = difference(held, read_panel(tmp_path / "g.afml"))
    assert apart[-1] == "people: 30 drawn of frequencies and 40 drawn of frequencies"


def test_what_a_panel_file_settles_is_not_asked_again(tmp_path: Path) -> None:
    for options, problem in (
        ({}, "the public panel is missing: give --panel-vcf or --site-panel"),
        ({"site_panel": "p", "panel_vcf": "q"}, "give --panel-vcf or --site-panel, and not both"),
        ({"site_panel": "p", "min_maf": 0.2}, "--min-maf is settled in the file of --site-panel: leave it out"),
    ):
        with pytest.raises(ValueError, match=problem):
            GenotypeOptions.model_validate({"vcf": "own.vcf.gz", **options})
