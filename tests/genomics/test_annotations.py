"""Annotation channels: every documented style, the most severe transcript, never outside [0, 1]."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.genomics.annotations import Annotator, Harm, consequence_harm, polyphen_harm, sift_harm
from afml.genomics.sources.vcf import VariantFile


@dataclass
class Site:
    alleles: tuple[str, ...] = ("A", "G")
    values: dict[str, str] = field(default_factory=dict)

    def info(self, key: str) -> str | None:
        return self.values.get(key)


def annotator(**formats: str) -> Annotator:
    return Annotator(lambda key: formats.get(key))


CSQ = "Consequence annotations from Ensembl VEP. Format: Allele|Consequence|IMPACT|SIFT|PolyPhen"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deleterious(0.02)", 0.98),
        ("tolerated_low_confidence(0.17)", 0.83),
        ("0.3", 0.7),
        ("deleterious", 0.975),
        ("deleterious_low_confidence", 0.975),
        ("tolerated", 0.475),
        ("deleterious_-_low_confidence(0)", None),
        ("", None),
        (".", None),
        ("7", None),
        ("benign(0.2)x", None),
    ],
)
def test_sift(text: str, expected: float | None) -> None:
    assert sift_harm(text) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("probably_damaging(0.994)", 0.994), ("0.003", 0.003), ("benign", 0.223), ("unknown(0)", None),
     ("unknown", None), ("possibly_damaging", 0.677), ("", None)],
)  # fmt: skip
def test_polyphen(text: str, expected: float | None) -> None:
    assert polyphen_harm(text) == (expected if expected is None else pytest.approx(expected))


def test_consequence_stands_in_for_a_missing_impact() -> None:
    assert consequence_harm("missense_variant&splice_region_variant") == pytest.approx(2 / 3)
    assert consequence_harm("upstream_gene_variant") == 0.0
    assert consequence_harm("") is None


def test_most_severe_transcript_wins_channel_by_channel() -> None:
    transcripts = [
        "G|intron_variant|MODIFIER||",
        "G|missense_variant|MODERATE|deleterious(0.01)|benign(0.1)",
        "G|stop_gained|HIGH|tolerated(0.9)|probably_damaging(0.95)",
    ]
    site = Site(values={"CSQ": ",".join(transcripts)})
    assert annotator(CSQ=CSQ).harm(site, 1) == Harm(pytest.approx(0.99), pytest.approx(0.95), 1.0)


def test_field_order_comes_from_the_header_and_the_key_may_be_vep() -> None:
    site = Site(values={"vep": "benign(0.4)|missense_variant|tolerated(0.2)"})
    assert annotator(vep="x Format: PolyPhen|Consequence|SIFT").harm(site, 1) == Harm(
        pytest.approx(0.8), pytest.approx(0.4), pytest.approx(2 / 3)
    )


def test_multi_allelic_entries_go_to_their_allele() -> None:
    by_letter = Site(("A", "G", "T"), {"CSQ": "G|x|HIGH||,T|x|LOW|tolerated(0.5)|"})
    assert annotator(CSQ=CSQ).harm(by_letter, 1).impact == 1.0
    assert annotator(CSQ=CSQ).harm(by_letter, 2) == Harm(0.5, 0.0, pytest.approx(1 / 3))
    deletion = Site(("CA", "C", "CAA"), {"CSQ": "-|x|HIGH||,AA|x|LOW||"})
    assert [annotator(CSQ=CSQ).harm(deletion, allele).impact for allele in (1, 2)] == [
        1.0,
        pytest.approx(1 / 3),
    ]
    by_number = Site(("A", "G", "T"), {"CSQ": "?|HIGH|2,?|LOW|1"})
    numbered = annotator(CSQ="Format: Allele|IMPACT|ALLELE_NUM")
    assert [numbered.harm(by_number, allele).impact for allele in (1, 2)] == [pytest.approx(1 / 3), 1.0]


def test_snpeff_gives_impact() -> None:
    ann = annotator(ANN="Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name'")
    assert ann.harm(Site(values={"ANN": "G|missense|MODERATE|X,G|intron|MODIFIER|X"}), 1).impact == pytest.approx(2 / 3)
    eff = annotator(EFF="Predicted effects.Format: 'Effect ( Effect_Impact | Functional_Class )'")
    assert eff.harm(Site(values={"EFF": "UTR(MODIFIER|),STOP_GAINED(HIGH|NONSENSE)"}), 1).impact == 1.0


def test_nothing_known_is_neutral() -> None:
    assert annotator().harm(Site(values={"CSQ": "G|stop_gained|HIGH||"}), 1) == Harm()
    assert annotator(CSQ=CSQ).harm(Site(), 1) == Harm()
    assert annotator(CSQ="no format here").harm(Site(values={"CSQ": "x"}), 1) == Harm()


@given(st.text(alphabet="GT|,()&._-0159eEabdSIFT ", max_size=60), st.sampled_from([("A", "G"), ("AT", "A", "G")]))
def test_any_text_gives_channels_in_unit_range(text: str, alleles: tuple[str, ...]) -> None:
    ours = annotator(CSQ=CSQ, ANN="'Allele | Annotation | Annotation_Impact'", EFF="'E ( I | F )'")
    harm = ours.harm(Site(alleles, {"CSQ": text, "ANN": text, "EFF": text}), 1)
    assert all(0.0 <= value <= 1.0 for value in (harm.sift, harm.polyphen, harm.impact))


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=6), st.integers(0, 2))
def test_printed_scores_come_back(scores: list[tuple[int, int]], style: int) -> None:
    def spelled(word: str, value: int) -> str:
        return [f"{word}({value / 1000:g})", f"{value / 1000:g}", f"{word}_low_confidence({value / 1000:g})"][style]

    text = ",".join(f"G|missense_variant|MODERATE|{spelled('tolerated', s)}|{spelled('benign', p)}" for s, p in scores)
    harm = annotator(CSQ=CSQ).harm(Site(values={"CSQ": text}), 1)
    assert harm.sift == pytest.approx(1 - min(s for s, _ in scores) / 1000)
    assert harm.polyphen == pytest.approx(max(p for _, p in scores) / 1000)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "scored", "impacts"),
    [
        ("bcftools_split-vep.grch37", True, True),
        ("exac_r03_vep.grch37", True, True),
        ("gemini_vep_old_order_and_snpeff_EFF.hg19", True, True),
        ("gnomad_exomes_r2.1.1_vep_key.grch37", False, True),
        ("slivar_snpeff_ANN", False, True),
        ("vep115_all_transcripts.sift_b.polyphen_b", True, True),
        ("vep115_chr21.check_existing_af1kg", True, True),
        ("vep115_pick.sift_p.polyphen_s", True, True),
    ],
)
def test_real_annotators(real_data: Path, tmp_path: Path, name: str, scored: bool, impacts: bool) -> None:
    # Most of these excerpts are plain gzip: bgzip them, as the reader asks its user to.
    path = tmp_path / "sites.vcf.gz"
    with (
        gzip.open(real_data / "annotations" / f"{name}.sites.vcf.gz") as source,
        pysam.BGZFile(str(path), "wb") as sink,
    ):
        sink.write(source.read())
    with VariantFile(path, need_samples=False) as variants:
        reads = Annotator(variants.info_description)
        harms = [reads.harm(record, allele) for record in variants for allele in range(1, len(record.alleles))]
    assert len(harms) >= 100
    assert any(harm.sift > 0 and harm.polyphen > 0 for harm in harms) == scored
    assert any(harm.impact > 0 for harm in harms) == impacts


@pytest.mark.real_data
def test_322_real_sites_carry_both_scores(real_data: Path) -> None:
    both = 0
    with VariantFile(real_data / "1kg_grch38_exome_chr21_22_25-26Mb.vep115.2548.vcf.gz") as variants:
        reads = Annotator(variants.info_description)
        for record in variants:
            csq = record.info("CSQ") or ""
            transcripts = [
                dict(zip(("sift", "polyphen"), entry.split("|")[-2:], strict=True)) for entry in csq.split(",")
            ]
            has = [any(sift_harm(t["sift"]) is not None for t in transcripts),
                   any(polyphen_harm(t["polyphen"]) is not None for t in transcripts)]  # fmt: skip
            both += all(has)
            harm = reads.harm(record, 1)
            assert harm.sift == max((sift_harm(t["sift"]) or 0.0 for t in transcripts), default=0.0)
            assert harm.polyphen == max((polyphen_harm(t["polyphen"]) or 0.0 for t in transcripts), default=0.0)
    assert both == 322
