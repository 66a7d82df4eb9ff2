"""Annotation channels: every documented style, the most severe transcript, never outside [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afml.genomics.annotations import Annotator, Harm, consequence_harm, polyphen_harm, sift_harm


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
        ("deleterious_-_low_confidence(0)", 1.0),
        ("tolerated - low confidence(0.3)", 0.7),
        ("0.3&0.01", 0.99),
        (".&0.01", 0.99),
        ("T;D;.", 0.975),
        ("d", None),
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


@pytest.mark.parametrize(
    ("alleles", "csq", "impacts"),
    [
        # bcftools norm -m- keeps the entries of all ALTs in the record of each
        (("T", "G"), "A|x|HIGH||,G|x|LOW||", [1 / 3]),
        (("T", "G"), "GA|x|LOW||,T|x|HIGH||", [1 / 3]),
        (("T", "G"), "A|x|HIGH||", [0]),
        # CAA>CA,C split and trimmed: A is what is left of one A, - of none
        (("CA", "C"), "A|frameshift_variant|HIGH||,-|inframe_deletion|MODERATE||", [1]),
        # deletions without any base left, as --minimal writes them: each counts for both
        (("CAAGCC", "CAGCC", "CA"), "-|frameshift_variant|HIGH||", [1, 1]),
        (("CAAGCC", "CAGCC", "CA"), "AGCC|x|HIGH||,A|x|MODERATE||", [1, 2 / 3]),
        # spelled alike, told apart by what can have become of them
        (("G", "T", "GT"), "T|missense_variant|MODERATE||,T|frameshift_variant|HIGH||", [2 / 3, 1]),
        (("G", "T", "GT"), "T|missense_variant|MODERATE||,GT|frameshift_variant|HIGH||", [2 / 3, 1]),
        (("ACACG", "ACACACGCACA", "ACACA"), "ACGCACA|x|HIGH||,ACACA|x|MODERATE||", [1, 2 / 3]),
        # a spanning deletion or a symbolic ALT beside it changes nothing
        (("ATATC", "A", "*"), "-|x|HIGH||", [1, 0]),
        (("A", "G", "<DEL>"), "G|x|LOW||,<DEL>|x|HIGH||", [1 / 3, 0]),
        # the same ALT twice
        (("A", "C", "C"), "C|x|HIGH||", [1, 1]),
        # an entry that does not say whose it is
        (("A", "C", "G"), "|x|LOW||", [1 / 3, 1 / 3]),
        (("A", "C"), ".", [0]),
        (("A", "C"), "True", [0]),
        (("A", "C"), "C|MISSENSE_VARIANT|moderate||", [2 / 3]),
        (("A", "C"), "C|missense_variant", [2 / 3]),
    ],
)
def test_whose_entry_it_is(alleles: tuple[str, ...], csq: str, impacts: list[float]) -> None:
    site = Site(alleles, {"CSQ": csq})
    found = [annotator(CSQ=CSQ).harm(site, allele).impact for allele in range(1, len(alleles))]
    assert found == pytest.approx(impacts)


def test_allele_numbers_of_before_the_record_was_split_are_not_believed() -> None:
    numbered = annotator(CSQ="Format: Allele|IMPACT|ALLELE_NUM")
    assert numbered.harm(Site(("A", "G"), {"CSQ": "T|HIGH|1,G|LOW|2"}), 1).impact == pytest.approx(1 / 3)
    assert numbered.harm(Site(("A", "G"), {"CSQ": "G|LOW|2"}), 1).impact == pytest.approx(1 / 3)


def test_vep_may_write_under_the_key_of_snpeff_and_text_may_follow_the_list() -> None:
    vep = "Consequence annotations from Ensembl VEP. Format: Allele|Consequence|IMPACT|SIFT|PolyPhen. By a|b: c"
    site = Site(("AT", "A", "G"), {"ANN": "-|stop_gained|HIGH|deleterious(0.1)|benign(0.2)"})
    assert [annotator(ANN=vep).harm(site, allele).impact for allele in (1, 2)] == [1, 0]
    site = Site(("AT", "A"), {"ANN": "-|stop_gained|HIGH|deleterious(0.1)|benign(0.2)"})
    assert annotator(ANN=vep).harm(site, 1) == Harm(pytest.approx(0.9), pytest.approx(0.2), 1.0)


SNPEFF = "Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name | cDNA.pos / cDNA.length' "


@pytest.mark.parametrize(
    ("alleles", "ann", "impacts"),
    [
        (("A", "C", "G"), "G|stop_gained|HIGH|x,C|synonymous_variant|LOW|x", [1 / 3, 1]),
        (("A", "C"), "T|stop_gained|HIGH|x,C|synonymous_variant|LOW|x", [1 / 3]),
        (("TTGTGG", "TTGTGTGT", "TTGTGTGTGT"), "TGT|frameshift_variant|HIGH|x,TGTGT|a|LOW|x", [1, 1 / 3]),
        (("G", "A", "C"), "A-C|missense_variant|MODERATE|x", [2 / 3, 0]),
        (("G", "A"), "A-chr1:77_A>T|missense_variant|MODERATE|x", [2 / 3]),
        (("AAA", "AA", "A"), "A|a|HIGH|x", [0, 1]),  # as in the VCF; VEP would mean the first
    ],
)
def test_snpeff_alleles(alleles: tuple[str, ...], ann: str, impacts: list[float]) -> None:
    site = Site(alleles, {"ANN": ann})
    found = [annotator(ANN=SNPEFF).harm(site, allele).impact for allele in range(1, len(alleles))]
    assert found == pytest.approx(impacts)


def test_effects_go_to_the_allele_that_they_number() -> None:
    header = "Predicted effects.Format: 'Effect ( Effect_Impact | Functional_Class | Genotype_Number [ | ERRORS ] )'"
    site = Site(("A", "C", "G"), {"EFF": "STOP_GAINED(HIGH|NONSENSE|2),SYNONYMOUS_CODING(LOW|SILENT|1)"})
    assert [annotator(EFF=header).harm(site, allele).impact for allele in (1, 2)] == pytest.approx([1 / 3, 1])
    older = annotator(EFF="Predicted effects.Format: 'Effect ( Effect_Impact | Functional_Class )'")
    assert [older.harm(site, allele).impact for allele in (1, 2)] == [1, 1]  # nobody can tell


BCSQ = "Local consequence annotation from BCFtools/csq, see http://x.org/howtos/csq-calling.html for details. " \
    "Format: [*]Consequence|gene|biotype|transcript|strand|amino_acid_change|dna_change"  # fmt: skip


def test_bcftools_csq() -> None:
    site = Site(("A", "C", "G"), {"BCSQ": "missense|X|E|pc|+|5K>5T|100A>C,stop_gained|X|E|pc|+|5K>5*|100A>G"})
    assert [annotator(BCSQ=BCSQ).harm(site, allele).impact for allele in (1, 2)] == pytest.approx([2 / 3, 1])
    for value, impact in [("3_prime_utr|X||pc", 0), ("*synonymous|X|E|pc|+|5K|100A>C", 1 / 3), ("@90", 0),
                          ("frameshift&stop_retained|X|E|pc|+|5K>6*|100A>C+105G>T", 1)]:  # fmt: skip
        found = annotator(BCSQ=BCSQ).harm(Site(("A", "C"), {"BCSQ": value}), 1).impact
        assert found == pytest.approx(impact), value


def test_dbnsfp_columns_in_entries_and_as_keys() -> None:
    fields = "Format: Allele|IMPACT|SIFT_score|SIFT_pred|Polyphen2_HDIV_score|Polyphen2_HVAR_score|Polyphen2_HVAR_pred"
    site = Site(("A", "C"), {"CSQ": "C|LOW|.&0.04|.&D|0.1|0.3&.|B"})
    assert annotator(CSQ=fields).harm(site, 1) == Harm(pytest.approx(0.96), pytest.approx(0.3), pytest.approx(1 / 3))
    keys = {"dbNSFP_SIFT_pred": "T,D", "dbNSFP_Polyphen2_HDIV_score": "(0.25, 0.5)", "dbNSFP_Polyphen2_HVAR_pred": "D"}
    keyed = annotator(**keys)
    assert keyed.harm(Site(("A", "C"), keys), 1) == Harm(pytest.approx(0.975), pytest.approx(0.5), 0.0)
    assert keyed.harm(Site(("A", "C", "G"), keys), 1) == Harm(pytest.approx(0.475), pytest.approx(0.25), 0.0)
