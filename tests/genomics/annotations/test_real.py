"""Real annotators' files against an independent derivation: bcftools +split-vep, or text taken apart."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pysam
import pytest

from afml.genomics.annotations import Annotator, Harm
from afml.genomics.sources.vcf import VariantFile

pytestmark = pytest.mark.real_data

LEVELS = {"MODIFIER": 0.0, "LOW": 1 / 3, "MODERATE": 2 / 3, "HIGH": 1.0}
Channels = tuple[float, float, float]


def ours(source: Path, folder: Path) -> dict[tuple[str, int, str, str], Channels]:
    # Most of these excerpts are plain gzip: bgzip them, so that this is about annotations alone.
    path = folder / "sites.vcf.gz"
    with gzip.open(source) as text, pysam.BGZFile(str(path), "wb") as sink:
        sink.write(text.read())
    found: dict[tuple[str, int, str, str], Channels] = {}
    with VariantFile(path, need_samples=False) as variants:
        reads = Annotator(variants.info_description)
        for record in variants:
            for allele in range(1, len(record.alleles)):
                harm: Harm = reads.harm(record, allele)
                key = (record.chrom, record.pos, record.alleles[0], record.alleles[allele])
                found[key] = (harm.sift, harm.polyphen, harm.impact)
    return found


def number(text: str, words: dict[str, float]) -> float | None:
    """The score of `word(score)` or `score`, else the middle of the word's range."""
    scored = re.fullmatch(r"(?:[a-z_]+\()?([0-9.eE-]+)\)?", text)
    if scored and text not in (".", "-"):
        return None if text.startswith("unknown") else float(scored[1])
    return words.get(text.replace("_low_confidence", ""))


def split_vep(source: Path, key: str) -> dict[tuple[str, int, str, str], Channels]:
    """The same by bcftools +split-vep: one line a transcript."""
    listing = subprocess.run(
        ["bcftools", "+split-vep", "-a", key, "-l", str(source)], capture_output=True, text=True, check=True
    ).stdout
    declared = {line.split("\t")[1] for line in listing.splitlines()}
    wanted = [
        name for name in ("Allele", "ALLELE_NUM", "Consequence", "IMPACT", "SIFT", "PolyPhen") if name in declared
    ]
    form = "\t".join(["%CHROM", "%POS", "%REF", "%ALT", *(f"%{name}" for name in wanted)]) + "\n"
    text = subprocess.run(
        ["bcftools", "+split-vep", "-a", key, "-d", "-f", form, str(source)], capture_output=True, text=True, check=True
    ).stdout
    worst: dict[tuple[str, int, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for line in text.splitlines():
        chrom, pos, ref, alts, *values = line.split("\t")
        entry = dict(zip(wanted, values, strict=True))
        for index, alt in enumerate(alts.split(","), start=1):
            if "," in alts and entry["ALLELE_NUM"] != str(index):
                continue
            if len(ref) == len(alt) == 1 and "," not in alts and entry["Allele"] not in (alt, "."):
                continue  # ExAC: records were split after VEP, and each kept the entries of all
            site = worst[chrom.removeprefix("chr"), int(pos), ref, alt]
            sift = number(entry.get("SIFT", "."), {"deleterious": 0.025, "tolerated": 0.525})
            polyphen = number(
                entry.get("PolyPhen", "."),
                {"probably_damaging": 0.954, "possibly_damaging": 0.677, "benign": 0.223},
            )
            site[0] = max(site[0], 0 if sift is None else 1 - sift)
            site[1] = max(site[1], polyphen or 0)
            site[2] = max(site[2], LEVELS.get(entry.get("IMPACT", ""), 0))
    return {key: (a, b, c) for key, (a, b, c) in worst.items()}


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
@pytest.mark.parametrize(
    ("name", "key", "levels"),
    [
        ("bcftools_split-vep.grch37", "CSQ", True),
        ("exac_r03_vep.grch37", "CSQ", False),
        ("gnomad_exomes_r2.1.1_vep_key.grch37", "vep", True),
        ("vep115_all_transcripts.sift_b.polyphen_b", "CSQ", True),
        ("vep115_chr21.check_existing_af1kg", "CSQ", True),
        ("vep115_pick.sift_p.polyphen_s", "CSQ", True),
    ],
)
def test_vep_as_bcftools_reads_it(real_data: Path, tmp_path: Path, name: str, key: str, levels: bool) -> None:
    source = real_data / "annotations" / f"{name}.sites.vcf.gz"
    found, expected = ours(source, tmp_path), split_vep(source, key)
    assert len(found) >= 100
    assert any(harm[2] for harm in found.values())
    for site, harm in found.items():
        theirs = expected.get(site, (0.0, 0.0, 0.0))
        # VEP before 77 states no level: the consequence stands in, which bcftools does not do.
        assert harm[: 3 if levels else 2] == pytest.approx(theirs[: 3 if levels else 2]), site


def lines(source: Path) -> list[list[str]]:
    with gzip.open(source, "rt") as text:
        return [line.rstrip("\n").split("\t") for line in text if not line.startswith("#")]


def test_snpeff_ann_as_text(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "annotations" / "slivar_snpeff_ANN.sites.vcf.gz"
    found = ours(source, tmp_path)
    csq = re.compile("missense|inframe|protein_alt|stop_|frameshift|splice_|synonymous|initiator|feature_|lost")
    for fields in lines(source):
        for alt in fields[4].split(","):
            text = re.search(r"(?:^|;)ANN=([^;]*)", fields[7])
            entries = [entry for entry in (text[1] if text else "").split(",") if entry.startswith(f"{alt}|")]
            impact = max((LEVELS[entry.split("|", 3)[2]] for entry in entries), default=0.0)
            mine = found[fields[0].removeprefix("chr"), int(fields[1]), fields[3], alt][2]
            # The same file holds VEP's consequences without levels: they may only add to it.
            assert mine == pytest.approx(impact) or (mine > impact and csq.search(fields[7])), fields[:5]


def test_snpeff_eff_and_vep_in_one_file_as_text(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "annotations" / "gemini_vep_old_order_and_snpeff_EFF.hg19.sites.vcf.gz"
    found = ours(source, tmp_path)
    for fields in lines(source):
        text = re.search(r"(?:^|;)EFF=([^;]*)", fields[7])
        levels = re.findall(r"\((MODIFIER|LOW|MODERATE|HIGH)\|", text[1] if text else "")
        csq = re.search(r"(?:^|;)CSQ=([^;]*)", fields[7])
        columns = [entry.split("|") for entry in csq[1].split(",")] if csq else []
        sift = [1 - float(one[8]) for one in columns if re.fullmatch(r"[0-9.]+", one[8])]
        sift += [1 - float(score) for one in columns for score in re.findall(r"\(([0-9.]+)\)", one[8])]
        mine = found[fields[0].removeprefix("chr"), int(fields[1]), fields[3], fields[4]]
        assert mine[2] >= max((LEVELS[level] for level in levels), default=0.0)
        assert mine[0] == pytest.approx(max(sift, default=0.0)), fields[:5]


def test_322_real_sites_carry_both_scores(real_data: Path) -> None:
    both = 0
    with VariantFile(real_data / "1kg_grch38_exome_chr21_22_25-26Mb.vep115.2548.vcf.gz") as variants:
        reads = Annotator(variants.info_description)
        for record in variants:
            columns = [entry.split("|")[-2:] for entry in (record.info("CSQ") or "").split(",")]
            sift = [1 - float(one) for text, *_ in columns for one in re.findall(r"\(([0-9.]+)\)", text)]
            polyphen = [
                float(one)
                for *_, text in columns
                for one in re.findall(r"\(([0-9.]+)\)", text)
                if not text.startswith("unknown")
            ]
            both += bool(sift and polyphen)
            harm = reads.harm(record, 1)
            assert harm.sift == pytest.approx(max(sift, default=0.0))
            assert harm.polyphen == pytest.approx(max(polyphen, default=0.0))
    assert both == 322


@pytest.mark.parametrize(
    ("name", "channel", "expected"),
    [
        ("csq", 0, {1200: 0.98, 1300: 0.7, 1500: 0.99, 1600: 0.99, 1700: 0, 2300: 0.99}),
        ("csq", 2, {1000: 2 / 3, 1400: 1 / 3, 1700: 2 / 3, 1800: 1 / 3, 2000: 0, 2100: 0, 2200: 2 / 3, 2300: 2 / 3}),
        ("multi", 2, {1000: (1 / 3, 1), 1100: (1, 1), 1200: (1, 2 / 3), 1300: (2 / 3, 1), 1400: (1, 2 / 3)}),
        ("starcsq", 2, {1100: (1, 0), 1200: 1}),
        ("snpeff", 2, {1000: 1, 1100: (1 / 3, 1), 1200: (1, 1), 1300: (2 / 3, 0)}),
    ],
)
def test_cases_after_public_reports(
    real_data: Path, name: str, channel: int, expected: dict[int, float | tuple[float, ...]]
) -> None:
    source = real_data.parent / "cases" / "genomes" / "annotations" / f"{name}.panel.vcf.gz"
    if not source.is_file():
        pytest.skip("no cases beside the data")
    found: dict[int, list[float]] = {}
    with VariantFile(source) as variants:
        reads = Annotator(variants.info_description)
        for record in variants:
            harms = [reads.harm(record, allele) for allele in range(1, len(record.alleles))]
            found[record.pos] = [(harm.sift, harm.polyphen, harm.impact)[channel] for harm in harms]
    for pos, values in expected.items():
        assert found[pos] == pytest.approx(list(values) if isinstance(values, tuple) else [values]), pos
