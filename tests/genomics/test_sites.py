"""The site panel: choice of sites against a slow reference, multi-allelic and missing calls, digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.core.errors import InputError, IntegrityError
from afml.genomics.choice import SiteChoice, build_site_panel, choose_sites
from afml.genomics.sites import ANNOTATIONS, SitePanel, trimmed
from tests.simulated import simulate_csq, simulate_dosage, simulate_panel, write_records, write_vcf

PEOPLE = [f"p{number}" for number in range(20)]


def calls(*counted: tuple[str, int]) -> str:
    """GT columns of 20 people: `times` people of every genotype, the others 0/0."""
    listed = [genotype for genotype, times in counted for _ in range(times)]
    return " ".join(listed + ["0/0"] * (20 - len(listed)))


def test_most_common_sites_equal_a_slow_reference(tmp_path: Path) -> None:
    alt = simulate_dosage(120, 300, seed=3)
    alt[:, 50:100] = 2 - alt[:, 50:100]  # ALT is the major allele there
    alt[np.random.default_rng(0).random(alt.shape) < 0.02] = -1
    write_vcf(tmp_path / "panel.vcf.gz", alt)
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(40))

    scored = []
    for site in range(alt.shape[1]):
        called = alt[:, site][alt[:, site] >= 0]
        frequency = called.sum() / (2 * len(called))
        maf = min(frequency, 1 - frequency)
        if len(called) >= 0.95 * len(alt) and maf >= 0.01:
            scored.append((-maf, site, frequency <= 0.5))
    expected = sorted((site, -minus_maf, is_alt) for minus_maf, site, is_alt in sorted(scored)[:40])
    assert panel.pos.tolist() == [1000 + 100 * site for site, _, _ in expected]
    assert panel.maf.tolist() == [maf for _, maf, _ in expected]
    assert panel.minor_is_alt.tolist() == [is_alt for _, _, is_alt in expected]
    assert not panel.minor_is_alt.all()
    assert panel.annotations[:, 0] == pytest.approx(2 * panel.maf, rel=1e-6)


def test_ties_go_to_the_earlier_position_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    rows = [f"{chrom} {pos} . A C . . . GT {calls(('0/1', 8))}" for chrom, pos in
            (("X", 5), ("10", 9), ("2", 7), ("2", 3), ("10", 1))]  # fmt: skip
    write_records(tmp_path / "panel.vcf.gz", rows, PEOPLE)
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(3))
    assert [panel.key(site)[:2] for site in range(3)] == [("2", 3), ("2", 7), ("10", 1)]


def test_multi_allelic_records_give_one_site_per_alt(tmp_path: Path) -> None:
    rows = [
        f"22 10 . A C,T . . . GT {calls(('1/2', 6), ('1/1', 2), ('0/2', 1))}",
        f"22 20 . CAAA C,CA,<DEL>,* . . . GT {calls(('0/1', 4), ('0/2', 8), ('0/3', 3), ('0/4', 3))}",
    ]
    write_records(tmp_path / "panel.vcf.gz", rows, PEOPLE)
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(10))
    assert [(*panel.key(site), float(panel.maf[site])) for site in range(len(panel))] == [
        ("22", 10, "A", "C", 10 / 40),
        ("22", 10, "A", "T", 7 / 40),
        ("22", 20, "CAA", "C", 8 / 40),  # CAAA>CA, trimmed
        ("22", 20, "CAAA", "C", 4 / 40),
    ]


def test_filters_name_what_they_removed(tmp_path: Path) -> None:
    rows = [
        f"chr22 10 . A C . . . GT {calls(('./.', 2), ('0/1', 9))}",
        f"chr22 20 . A C . . . GT {calls()}",
        f"chr22 30 . A C . . . GT {calls(('0/1', 9))}",
        f"chr22 40 . A <DEL> . . . GT {calls(('0/1', 9))}",
    ]
    vcf, bed = tmp_path / "panel.vcf.gz", tmp_path / "out.bed"
    write_records(vcf, rows, PEOPLE)
    bed.write_text("22\t29\t30\n")
    with pytest.raises(InputError) as caught:
        build_site_panel(vcf, SiteChoice(10, exclude=[bed]))
    assert str(caught.value) == (
        f"{vcf}: no site is left of 4 (1 not a SNP or indel, 1 in an excluded region, 1 over 5 % missing, "
        "1 MAF below 0.01); loosen the filter that removed most"
    )
    assert build_site_panel(vcf, SiteChoice(10)).pos.tolist() == [30]  # fewer than asked for: all that are left
    bed.write_text("chr7\t29\t30\n")
    with pytest.raises(InputError, match=r"out.bed: shares no contig with .* \('chr7' here, 'chr22' there\)"):
        build_site_panel(vcf, SiteChoice(10, exclude=[bed]))


@pytest.mark.parametrize("indexed", [False, True])
def test_sites_are_chosen_within_regions_alone(tmp_path: Path, indexed: bool) -> None:
    vcf = tmp_path / "panel.vcf.gz"
    rows = [f"{contig} {pos} . {ref} C . . . GT {calls(('0/1', 9))}"
            for contig in ("21", "22") for pos, ref in ((10, "A"), (18, "CAT"), (30, "A"), (40, "A"))]  # fmt: skip
    write_records(vcf, rows, PEOPLE)
    if indexed:
        pysam.bcftools.index("-t", str(vcf), catch_stdout=False)
    chosen = choose_sites(vcf, SiteChoice(10, regions=("22:20-30,21:1-10", "22:40")))
    found = [chosen.panel.key(site)[:2] for site in range(len(chosen.panel))]
    assert found == [("21", 10), ("22", 18), ("22", 30), ("22", 40)]  # a base of the deletion at 18 is within
    assert chosen.waterfall[0] == ("ALT alleles in the panel's file, as far as --regions reach", 4)
    everywhere = choose_sites(vcf, SiteChoice(10, regions=("21,22",)))
    assert everywhere.panel.digest() == choose_sites(vcf, SiteChoice(10)).panel.digest()
    with pytest.raises(InputError, match=r"no site is left of 0 .the file has no variant there"):
        choose_sites(vcf, SiteChoice(10, regions=("22:50-60",)))
    with pytest.raises(InputError, match=r"--regions: shares no contig with .* .'chr7' here"):
        choose_sites(vcf, SiteChoice(10, regions=("chr7",)))


def test_a_repeated_site_is_kept_once(tmp_path: Path) -> None:
    rows = [f"22 10 . A C . . . GT {calls(('0/1', 8))}", f"22 10 . A C . . . GT {calls(('0/1', 20))}"]
    write_records(tmp_path / "panel.vcf.gz", rows, PEOPLE)
    assert build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(10)).maf.tolist() == [8 / 40]


def test_annotations_become_channels(tmp_path: Path) -> None:
    alt = simulate_dosage(60, 50, seed=5)
    csq = simulate_csq(50, 6, ["G"] * 50)
    write_vcf(tmp_path / "panel.vcf.gz", alt, csq=csq)
    panel = build_site_panel(tmp_path / "panel.vcf.gz", SiteChoice(50, min_maf=0.0))
    assert panel.annotations.shape == (50, len(ANNOTATIONS))
    for site, value in enumerate(csq):
        fields = (value or "|||||").split("|")
        sift = 1 - float(fields[4].split("(")[1][:-1]) if fields[4] else 0.0
        assert panel.annotations[site, 1] == pytest.approx(sift, abs=1e-6)
        assert panel.annotations[site, 3] == pytest.approx({"MODERATE": 2 / 3, "LOW": 1 / 3, "": 0}[fields[2]])


def test_digest_names_the_panel_and_survives_the_file(tmp_path: Path) -> None:
    panel = simulate_panel(simulate_dosage(50, 30, seed=1))
    panel.save(tmp_path / "panel.tsv")
    again = SitePanel.load(tmp_path / "panel.tsv")
    assert again.digest() == panel.digest()
    assert again.maf.tolist() == panel.maf.tolist()
    assert again.annotations.tolist() == panel.annotations.tolist()
    assert again.annotations.dtype == np.float32
    other = simulate_panel(simulate_dosage(50, 30, seed=1), seed=9)
    assert other.digest() != panel.digest()


def test_a_changed_or_foreign_panel_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "panel.tsv"
    simulate_panel(simulate_dosage(50, 30, seed=1)).save(path)
    path.write_text(path.read_text().replace("22\t1000\t", "22\t1001\t"))
    with pytest.raises(IntegrityError, match="changed after it was made"):
        SitePanel.load(path)
    path.write_text("sample\tphenotype\n")
    with pytest.raises(InputError, match="is not a site panel"):
        SitePanel.load(path)


def test_panel_minor_mapping_is_its_own_inverse() -> None:
    dosage = simulate_dosage(40, 60, seed=2)
    dosage[3, 4] = -1
    panel = simulate_panel(dosage)
    alt = panel.to_minor(dosage)
    assert alt.dtype == np.int8
    assert np.array_equal(panel.to_minor(alt), dosage)
    assert alt[3, 4] == -1
    assert np.array_equal(alt[:, panel.minor_is_alt], dosage[:, panel.minor_is_alt])


@given(st.text("ACGT", min_size=1, max_size=6), st.text("ACGT", min_size=1, max_size=6),
       st.text("ACGT", max_size=4), st.text("ACGT", max_size=4))  # fmt: skip
def test_trimming_says_the_same_in_fewer_bases(ref: str, alt: str, before: str, after: str) -> None:
    sequence = before + ref + after
    pos, short_ref, short_alt = trimmed(1, before + ref + after, before + alt + after)
    assert sequence[: pos - 1] + short_alt + sequence[pos - 1 + len(short_ref) :] == before + alt + after
    assert sequence[pos - 1 : pos - 1 + len(short_ref)] == short_ref
    assert min(len(short_ref), len(short_alt)) == 1 or (short_ref[0] != short_alt[0] and short_ref[-1] != short_alt[-1])


@pytest.mark.real_data
def test_panel_of_real_exomes(real_data: Path) -> None:
    vcf = real_data / "1kg_grch38_exome_chr21_22_25-26Mb.vep115.2548.vcf.gz"
    bed = real_data / "bed" / "encode_blacklist_v2.hg38.nochr.bed.gz"
    panel = build_site_panel(vcf, SiteChoice(100, exclude=[bed]))
    assert len(panel) == 69 or len(panel) == 100
    assert (panel.maf >= 0.01).all()
    assert (panel.annotations[:, 1:] > 0).any()
    with pytest.raises(InputError, match="no site is left of 850"):
        build_site_panel(vcf, SiteChoice(100, min_maf=0.6))
