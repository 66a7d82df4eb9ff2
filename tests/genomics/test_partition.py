"""Splitting people into a panel and institutions: every genotype lands once, in the right file."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import ConfigError, InputError
from afml.genomics.partition import Parts, read_people, split
from afml.genomics.sources.vcf import VariantFile
from tests.simulated import simulate_csq, simulate_dosage, write_records, write_vcf


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, Path]:
    alt = simulate_dosage(100, 30, seed=1)
    alt[0, 0] = -1
    names = write_vcf(tmp_path / "all.vcf.gz", alt, csq=simulate_csq(30, 1, ["G"] * 30))
    rows = [f"{name}\t{'ABC'[number % 3]}\tx" for number, name in enumerate(names)]
    (tmp_path / "people.tsv").write_text("\n".join(["sample\tpop\tsex", *rows, "EXTRA\tA\tx"]) + "\n")
    return tmp_path / "all.vcf.gz", tmp_path / "people.tsv"


def columns(path: Path) -> dict[str, list[int]]:
    with VariantFile(path) as variants:
        matrix = np.array([record.dosage(1) for record in variants])
        return dict(zip(variants.samples, matrix.T.tolist(), strict=True))


def test_every_person_lands_once_with_the_own_genotypes(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    parts = split(*cohort, tmp_path / "out", Parts(3, 25), seed=7)
    assert parts.people == (25, 25, 25, 25)
    before = columns(cohort[0])
    after = [columns(path) for path in (parts.panel, *parts.nodes)]
    assert sorted(name for part in after for name in part) == sorted(before)
    for part in after:
        assert all(before[name] == values for name, values in part.items())
    people = read_people(cohort[1])[1]
    for node, part in zip(parts.nodes, after[1:], strict=True):
        mixture = Counter(people[name][1] for name in part)
        assert max(mixture.values()) - min(mixture.values()) <= 6
        listed = read_people(node.with_name(node.name.replace(".vcf.gz", ".people.tsv")))[1]
        assert list(listed) == list(part)
        assert node.with_name(node.name + ".tbi").exists()
    spread = [Counter(people[name][1] for name in part)["A"] for part in after[1:]]
    assert max(spread) - min(spread) <= 1  # every population is dealt evenly
    again = split(*cohort, tmp_path / "again", Parts(3, 25), seed=7)
    assert again.panel.read_bytes() == parts.panel.read_bytes()
    other = split(*cohort, tmp_path / "other", Parts(3, 25), seed=8)
    assert columns(other.panel).keys() != after[0].keys()


def test_annotations_stay_and_counts_over_everybody_go(tmp_path: Path) -> None:
    row = "22 10 . A C . . AC=3;CSQ=C|x;AF=0.1;EUR_AF=0.2;DB;AN=8 GT 0/0 0/1 1/1 0/0"
    bare = "22 11 . A C . . AC=3;AN=8 GT 0/0 0/1 1/1 0/0"
    header = ['##INFO=<ID=CSQ,Number=.,Type=String,Description="c">']
    write_records(tmp_path / "a.vcf.gz", [row, bare], ["a", "b", "c", "d"], header)
    (tmp_path / "p.tsv").write_text("sample\na\nb\nc\nd\n")
    parts = split(tmp_path / "a.vcf.gz", tmp_path / "p.tsv", tmp_path / "out", Parts(3, 1), seed=1)
    for path in (parts.panel, *parts.nodes):
        text = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert [line.split("\t")[7] for line in text if not line.startswith("#")] == ["CSQ=C|x;DB", "."]


def test_bad_input_is_one_clear_line_and_writes_nothing(cohort: tuple[Path, Path], tmp_path: Path) -> None:
    vcf, people = cohort
    out = tmp_path / "out"
    short = tmp_path / "short.tsv"
    short.write_text("\n".join(people.read_text().splitlines()[:-4]) + "\n")
    with pytest.raises(InputError, match=r"short.tsv: lacks 3 samples \(S97, S98, S99\) of all.vcf.gz"):
        split(vcf, short, out, Parts(2, 10), seed=1)
    short.write_text("sample\tpop\nS1\tA\nS1\tB\n")
    with pytest.raises(InputError, match="line 3 repeats sample S1"):
        split(vcf, short, out, Parts(2, 10), seed=1)
    short.write_text("S1\tA\n")
    with pytest.raises(InputError, match="not 'sample'"):
        split(vcf, short, out, Parts(2, 10), seed=1)
    with pytest.raises(ConfigError, match="100 people are too few"):
        split(vcf, people, out, Parts(2, 99), seed=1)
    assert not out.exists()
    data = vcf.read_bytes()
    vcf.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="truncated"):
        split(vcf, people, out, Parts(2, 10), seed=1)
    unsorted = tmp_path / "unsorted.vcf.gz"
    write_records(unsorted, [f"22 {pos} . A C . . . GT 0/0 0/1 1/1" for pos in (20, 10)], ["S1", "S2", "S3"])
    with pytest.raises(InputError, match="not sorted"):
        split(unsorted, people, out, Parts(2, 1), seed=1)
    write_records(unsorted, ["22 20 . A C . . . GT 0/0 0/1"], ["S1", "S2", "S3"])
    with pytest.raises(InputError, match="record 1 has 11 columns, not 12"):
        split(unsorted, people, out, Parts(2, 1), seed=1)
    assert list(out.iterdir()) == []


@pytest.mark.real_data
def test_real_cohorts(real_data: Path, tmp_path: Path) -> None:
    vcf = real_data / "1kg_p3_grch37_chr1_11.70-11.84Mb.2504.vcf.gz"
    parts = split(vcf, real_data / "panel_2504.tsv", tmp_path / "out", Parts(5), seed=1)
    assert parts.people == (500, 401, 401, 401, 401, 400)
    with VariantFile(parts.nodes[4]) as variants:
        assert sum(1 for _ in variants) == 4288
    with pytest.raises(InputError, match="lacks sample NA18498"):
        split(vcf, real_data / "panel_2548.tsv", tmp_path / "out", Parts(5), seed=1)
