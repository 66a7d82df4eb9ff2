"""A panel VCF without people: sites from stated frequencies, people drawn from them, the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import ConfigError, InputError, IntegrityError
from afml.genomics.build import build_panel_store, build_store
from afml.genomics.choice import DRAWN_PEOPLE, SiteChoice, build_site_panel
from afml.genomics.drawn import draw_people
from afml.genomics.sites import SitePanel
from afml.genomics.sources.text import TextRecord
from afml.genomics.sources.vcf import VariantFile
from afml.genomics.store import GenotypeStore
from crypto.public.random import SeededRandom
from tests.simulated import simulate_dosage, simulate_panel, write_vcf

AF = '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">'
NFE = '##INFO=<ID=AF_nfe,Number=A,Type=Float,Description="Allele frequency">'
TEXT = '##INFO=<ID=FREQ,Number=.,Type=String,Description="Frequencies as text">'


def write_sites(path: Path, records: Sequence[str], header: Sequence[str] = (AF, NFE, TEXT)) -> Path:
    """Write `chrom pos ref alt info` records as a bgzipped VCF without FORMAT and samples."""
    contigs = [f"##contig=<ID={contig}>" for contig in dict.fromkeys(record.split()[0] for record in records)]
    lines = ["##fileformat=VCFv4.3", *contigs, *header, "#CHROM POS ID REF ALT QUAL FILTER INFO".replace(" ", "\t")]
    for chrom, pos, ref, alt, info in map(str.split, records):
        lines.append("\t".join((chrom, pos, ".", ref, alt, ".", ".", info)))
    with pysam.BGZFile(str(path), "wb") as sink:
        sink.write(("\n".join(lines) + "\n").encode())
    return path


def drawn_panel(sites: int = 30, people: int = 400) -> SitePanel:
    return replace(simulate_panel(simulate_dosage(50, sites, seed=1)), drawn_people=people)


# -- sites -------------------------------------------------------------------------------------------


def test_sites_come_from_stated_frequencies(tmp_path: Path) -> None:
    vcf = write_sites(
        tmp_path / "sites.vcf.gz",
        [
            "22 10 A C AF=0.25",
            "22 20 A C,T AF=0.7,0.2",
            "22 30 A C AF=0.001",
            "22 40 A C AF=0.4;AF_nfe=0.1",
            "22 50 G GT AF=0.5",
        ],
    )
    panel = build_site_panel(vcf, SiteChoice(10))
    assert panel.drawn_people == DRAWN_PEOPLE
    assert [(*panel.key(site)[1:], bool(panel.minor_is_alt[site])) for site in range(len(panel))] == [
        (10, "A", "C", True), (20, "A", "C", False), (20, "A", "T", True), (40, "A", "C", True), (50, "G", "GT", True)
    ]  # fmt: skip
    assert panel.maf == pytest.approx([0.25, 0.3, 0.2, 0.4, 0.5])
    assert panel.annotations[:, 0] == pytest.approx(2 * panel.maf)
    other = build_site_panel(vcf, SiteChoice(10, af_field="AF_nfe", drawn_people=30))
    assert (other.pos.tolist(), other.maf.tolist(), other.drawn_people) == ([40], [pytest.approx(0.1)], 30)


def test_the_same_sites_as_from_people_with_these_frequencies(tmp_path: Path) -> None:
    alt = simulate_dosage(120, 80, seed=3)
    alt[:, 20:40] = 2 - alt[:, 20:40]
    write_vcf(tmp_path / "people.vcf.gz", alt)
    records = [f"22 {1000 + 100 * site} A G AF={value!r}" for site, value in enumerate((alt.mean(axis=0) / 2).tolist())]
    from_people = build_site_panel(tmp_path / "people.vcf.gz", SiteChoice(80))
    from_sites = build_site_panel(write_sites(tmp_path / "sites.vcf.gz", records), SiteChoice(80))
    assert [from_sites.key(s) for s in range(80)] == [from_people.key(s) for s in range(80)]
    assert from_sites.maf == pytest.approx(from_people.maf, rel=1e-6)
    # At a half, both alleles are as common: which is called the minor one is a matter of the last bit.
    apart = from_people.maf < 0.4999
    assert (from_sites.minor_is_alt == from_people.minor_is_alt)[apart].all()
    assert from_sites.digest() != from_people.digest()


@pytest.mark.parametrize(
    ("alt", "info", "field"),
    [
        ("C", ".", "AF"),
        ("C", "AF=.", "AF"),
        ("C", "AF=1.5", "AF"),
        ("C", "AF=-0.2", "AF"),
        ("C", "AF=nan", "AF"),
        ("C", "AF=0.3,0.2", "AF"),  # two numbers for one ALT
        ("C,T", "AF=0.3", "AF"),  # one for two
        ("C", "FREQ=common", "FREQ"),
        ("C", "FREQ=1000G:0.3", "FREQ"),
        ("C", "UNDECLARED=0.3x", "UNDECLARED"),
    ],
)
def test_a_frequency_that_cannot_be_used_is_counted(tmp_path: Path, alt: str, info: str, field: str) -> None:
    vcf = write_sites(tmp_path / "sites.vcf.gz", [f"22 10 A {alt} {info}"])
    count = len(alt.split(","))
    with pytest.raises(InputError) as caught:
        build_site_panel(vcf, SiteChoice(10, af_field=field))
    assert str(caught.value) == (
        f"{vcf}: no site is left of {count} ({count} without one INFO/{field} in [0, 1] per ALT); name the INFO field "
        "of its frequencies, or give a panel with genotypes"
    )


def test_frequencies_as_text_are_read(tmp_path: Path) -> None:
    vcf = write_sites(tmp_path / "sites.vcf.gz", ["22 10 A C,T FREQ=0.25,.", "22 20 A C OTHER=0.125"])
    assert build_site_panel(vcf, SiteChoice(10, af_field="FREQ")).maf.tolist() == [0.25]
    assert build_site_panel(vcf, SiteChoice(10, af_field="OTHER")).maf.tolist() == [0.125]


def test_another_filter_is_named_where_it_removed_more(tmp_path: Path) -> None:
    vcf = write_sites(tmp_path / "sites.vcf.gz", ["22 10 A C .", "22 20 A C AF=0.001", "22 30 A C AF=0.002"])
    with pytest.raises(InputError, match=r"1 without one INFO/AF .*, 2 MAF below 0.01\); loosen the filter"):
        build_site_panel(vcf, SiteChoice(10))


def test_people_and_a_field_of_frequencies_are_a_contradiction(tmp_path: Path) -> None:
    write_vcf(tmp_path / "panel.vcf.gz", simulate_dosage(20, 10, seed=1))
    with pytest.raises(InputError, match="holds people: their genotypes give the frequencies, not INFO/AF; leave"):
        build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(5, af_field="AF"))
    with pytest.raises(InputError, match="cannot draw a panel of 1"):
        build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(5, drawn_people=1))


@given(st.lists(st.one_of(st.floats(allow_nan=True), st.text("0123456789.,e+-x", max_size=6)), max_size=3))
def test_stated_frequencies_are_shares_or_nothing(values: list[float | str]) -> None:
    """`Record.stated` over whatever a file may say."""
    record = TextRecord(
        [b"22", b"1", b".", b"A", b"C,T", b".", b".", b"AF=" + ",".join(map(str, values)).encode()],
        "22",
        Path("x"),
        0,
        None,
    )
    found = record.stated("AF")
    assert len(found) == 2
    assert all(value is None or 0 <= value <= 1 for value in found)


# -- people ------------------------------------------------------------------------------------------


def test_everybody_draws_the_same_people() -> None:
    panel = drawn_panel()
    dosage = draw_people(panel)
    assert dosage.dtype == np.int8
    np.testing.assert_array_equal(dosage, draw_people(drawn_panel()))
    stream = SeededRandom(int(panel.digest(), 16), "panel drawn from allele frequencies")
    for site, frequency in enumerate(panel.maf):  # the obvious way
        words = stream.uniform(2 * 400)
        assert dosage[:, site].tolist() == [
            int(words[n] < frequency) + int(words[400 + n] < frequency) for n in range(400)
        ]
    # On any machine, with any numpy: a change of these bits would split a consortium.
    assert dosage[:8, :4].tolist() == [
        [1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 2, 2], [2, 2, 1, 2], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 2], [0, 1, 0, 0]
    ]  # fmt: skip
    assert (draw_people(replace(panel, drawn_people=399))[:399] != dosage[:399]).any()


def test_drawn_people_follow_hardy_weinberg_and_nothing_else() -> None:
    panel = replace(simulate_panel(simulate_dosage(300, 40, seed=2)), drawn_people=20_000)
    dosage, p = draw_people(panel).astype(np.float64), panel.maf
    error = 4.5 / np.sqrt(20_000)
    assert (np.abs(dosage.mean(axis=0) / 2 - p) < error * np.sqrt(p * (1 - p) / 2)).all()
    assert (np.abs((dosage == 2).mean(axis=0) - p**2) < error * np.sqrt(p**2 * (1 - p**2))).all()
    correlation = np.corrcoef(dosage.T) - np.eye(40)
    assert np.abs(correlation).max() < error * 1.1  # no linkage, and so no structure


def test_a_panel_of_people_is_never_drawn() -> None:
    with pytest.raises(ConfigError, match="comes from people"):
        draw_people(drawn_panel(people=0))


# -- what is agreed on -------------------------------------------------------------------------------


def test_the_digest_covers_the_draw_and_leaves_panels_of_people_alone(tmp_path: Path) -> None:
    people = drawn_panel(people=0)
    assert people.digest() == "5b5232e0427ce743e032429fabd2f9805aafbf0fc33bfec4ed5433bed258e135"
    assert len({people.digest(), drawn_panel(people=400).digest(), drawn_panel(people=401).digest()}) == 3
    for panel in (people, drawn_panel()):
        panel.save(tmp_path / "panel.tsv")
        again = SitePanel.load(tmp_path / "panel.tsv")
        assert (again.digest(), again.drawn_people) == (panel.digest(), panel.drawn_people)
    text = (tmp_path / "panel.tsv").read_text()
    for changed in ("##drawn_people=300\n", ""):
        (tmp_path / "panel.tsv").write_text(text.replace("##drawn_people=400\n", changed))
        with pytest.raises(IntegrityError, match="changed after it was made"):
            SitePanel.load(tmp_path / "panel.tsv")
    (tmp_path / "panel.tsv").write_text(text.replace("=400\n", "=many\n"))
    with pytest.raises(InputError, match="malformed line"):
        SitePanel.load(tmp_path / "panel.tsv")


def test_the_store_of_the_panel_holds_the_drawn_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afml.genomics.build._SITES_PER_CHUNK", 7)
    panel = drawn_panel()
    store = build_panel_store(tmp_path / "not read", panel, tmp_path / "panel.zarr")
    np.testing.assert_array_equal(store.dosage(), draw_people(panel))
    again = GenotypeStore.open(tmp_path / "panel.zarr", panel)
    assert (again.panel.drawn_people, again.absent_sites, len(again)) == (400, 0, 400)
    assert again.samples[:2] == ["drawn-1", "drawn-2"]
    # A cohort's store made for this panel says so too.
    names = write_vcf(tmp_path / "own.vcf.gz", panel.to_minor(simulate_dosage(20, 30, seed=4)), panel=panel)
    own = build_store(tmp_path / "own.vcf.gz", panel, tmp_path / "own.zarr")
    assert own.samples == names
    assert GenotypeStore.open(tmp_path / "own.zarr").panel.digest() == panel.digest()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="exists and is not a genotype store"):
        build_panel_store(tmp_path / "not read", panel, tmp_path / "folder")


def test_a_panel_of_people_is_stored_as_it_is(tmp_path: Path) -> None:
    dosage = simulate_dosage(30, 20, seed=5)
    panel = simulate_panel(dosage)
    write_vcf(tmp_path / "panel.vcf.gz", panel.to_minor(dosage), panel=panel)
    store = build_panel_store(tmp_path / "panel.vcf.gz", panel, tmp_path / "panel.zarr")
    np.testing.assert_array_equal(store.dosage(), dosage)


def test_a_file_without_samples_is_still_no_cohort(tmp_path: Path) -> None:
    vcf = write_sites(tmp_path / "sites.vcf.gz", ["22 10 A C AF=0.25"])
    with pytest.raises(InputError, match="holds no samples"):
        VariantFile(vcf)
