"""Mutated files give the right values or one clear line, never a dead process and never something left behind.

`make test` takes about every sixth of the corpus, `make fuzz` all 1,048 (AFML_FUZZ=all).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.genomics.annotations import Annotator
from afml.genomics.build import build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.sources.opening import open_source
from tests.genomics.fuzz import corpus, plink, reference
from tests.genomics.fuzz.corpus import Mutant

STRIDE = 1 if os.environ.get("AFML_FUZZ") == "all" else 6
TEXT, FILE, BCF, CSQ, BED, PGEN = 384, 208, 208, 104, 72, 72


def said(path: Path) -> reference.Content:
    with open_source(path) as source:
        records: list[reference.Said] = [
            (record.chrom, record.pos, record.alleles, [(int(a), int(b)) for a, b in record.calls()])
            for record in source.records()
        ]
        return reference.Content(list(source.samples), records)


def one_line(error: InputError, path: Path) -> str:
    text = str(error)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 400 + len(str(path)), text
    return text


@pytest.mark.parametrize(
    ("make", "count"),
    [(corpus.text_mutant, TEXT), (corpus.file_mutant, FILE), (corpus.bcf_mutant, BCF)],
    ids=["text", "file", "bcf"],
)
def test_right_or_refused(tmp_path: Path, make: Callable[[int], Mutant], count: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(0, count, STRIDE):
        mutant = make(seed)
        path = tmp_path / f"c{mutant.suffix}"
        path.write_bytes(mutant.data)
        try:
            ours = said(path)
        except InputError as error:
            one_line(error, path)
            ends["refused"] += 1
            continue
        try:
            theirs = reference.read(mutant.data)
        except reference.NotOne as reason:
            raise AssertionError(f"{mutant.name}: read although {reason}") from None
        assert ours == theirs, mutant.name
        ends["read"] += 1
    assert ends["refused"] > 10
    assert {path.name for path in tmp_path.iterdir()} <= {"c.vcf.gz", "c.bcf"}


@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf"])
def test_what_is_whole_is_read(tmp_path: Path, suffix: str) -> None:
    for seed in range(8):
        text = corpus.vcf_text(np.random.default_rng(seed))
        data = corpus.bgzip(text if suffix == ".vcf.gz" else corpus.bcf_content(text))
        path = tmp_path / f"c{suffix}"
        path.write_bytes(data)
        assert said(path) == reference.read(data) == reference.read(corpus.bgzip(text))


def test_numbers_of_a_bcf_header_that_are_none(tmp_path: Path) -> None:
    text = corpus.vcf_text(np.random.default_rng(0)).replace(b"contig=<ID=22>", b"contig=<ID=22,IDX=x>")
    path = tmp_path / "c.bcf"
    path.write_bytes(corpus.bgzip(corpus.bcf_content(text)))
    with pytest.raises(InputError, match="something else than a number"):
        said(path)


LEVELS = {"MODIFIER": 0.0, "LOW": 1 / 3, "MODERATE": 2 / 3, "HIGH": 1.0}
NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"

WORD = r"([A-Za-z][A-Za-z _-]*?)(?:[ _-]*low[ _]confidence)?(?:\([^()]*\))?"


def channels(line: bytes) -> tuple[float, float, float]:
    """Of one record whose entries are all of its ALT: cut out of the text by another shape of parser."""
    info = line.split(b"\t")[7].decode("utf-8", "replace")
    entries = re.search(r"(?:^|;)CSQ=([^;]*)", info)
    worst = [0.0, 0.0, 0.0]
    for entry in entries[1].split(",") if entries else []:
        columns = [*entry.split("|"), "", "", "", "", ""][:5]
        for place, (cell, words) in enumerate(
            ((columns[3], {"deleterious": 0.975, "tolerated": 0.475}), (columns[4], {"benign": 0.223}))
        ):
            for value in re.split("[&;]", cell):
                score = re.fullmatch(rf"(?:[A-Za-z][A-Za-z _-]*)?\(({NUMBER})\)|({NUMBER})", value.strip())
                number = float(score[1] or score[2]) if score else -1.0
                if 0 <= number <= 1:
                    worst[place] = max(worst[place], 1 - number if place == 0 else number)
                    continue
                word = re.fullmatch(
                    r"([A-Za-z][A-Za-z _-]*?)(?:[ _-]*low[ _]confidence)?(?:\([^()]*\))?", value.strip()
                )
                worst[place] = max(worst[place], words.get(word[1].lower(), 0) if word else 0)
        level = LEVELS.get(columns[2].strip().upper())
        if level is None:
            missense = {"missense", "missense_variant"} & set(re.split("[&+*, ]", columns[1].lower()))
            level = 2 / 3 if missense else 0.0
        worst[2] = max(worst[2], level)
    return worst[0], worst[1], worst[2]


def test_annotations_are_right_or_refused(tmp_path: Path) -> None:
    differing = 0
    for seed in range(0, CSQ, max(1, STRIDE // 2)):
        mutant, lines = corpus.csq_mutant(seed)
        path = tmp_path / "p.vcf.gz"
        path.write_bytes(mutant.data)
        expected = [channels(line) for line in lines if not line.startswith(b"#")]
        try:
            with open_source(path) as source:
                reads = Annotator(source.info_description)
                harms = [reads.harm(record, 1) for record in source.records()]
        except InputError as error:
            one_line(error, path)
            continue
        found = [(harm.sift, harm.polyphen, harm.impact) for harm in harms]
        assert [pytest.approx(one) for one in expected] == found, mutant.name
        differing += found != expected
    assert differing < CSQ


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The same files as cohorts and as panels: a store or a panel that is whole, or a line and nothing on disk."""
    whole = tmp_path / "whole.vcf.gz"
    whole.write_bytes(corpus.bgzip(corpus.vcf_text(np.random.default_rng(0))))
    panel = build_site_panel(whole, SiteChoice(20))
    path = tmp_path / "c.vcf.gz"
    built = 0
    for seed in range(0, TEXT, 8 * STRIDE + 1):
        path.write_bytes(corpus.text_mutant(seed).data)
        for cohort in (False, True):
            try:
                if cohort:
                    build_store(path, panel, tmp_path / "store")
                else:
                    build_site_panel(path, SiteChoice(20))
                built += 1
            except InputError as error:
                one_line(error, path)
                assert {one.name for one in tmp_path.iterdir()} <= {"whole.vcf.gz", "c.vcf.gz", "store"}
    assert built


@pytest.mark.parametrize(("suffix", "count"), [(".bed", BED), (".pgen", PGEN)])
def test_plink_right_or_refused(tmp_path: Path, suffix: str, count: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(0, count, STRIDE):
        mutant = plink.plink_mutant(seed, suffix)
        for name, data in mutant.files.items():
            (tmp_path / f"c{name}").write_bytes(data)
        path = tmp_path / f"c{suffix}"
        try:
            ours = said(path)
        except InputError as error:
            one_line(error, tmp_path / "c")
            ends["refused"] += 1
            continue
        try:
            theirs = plink.read_plink(mutant.files, suffix)
        except reference.NotOne as reason:
            raise AssertionError(f"{mutant.name}: read although {reason}") from None
        assert ours == theirs, mutant.name
        ends["read"] += 1
    assert ends["refused"] > 3
    assert {path.suffix for path in tmp_path.iterdir()} == set(mutant.files)
