"""Indels in one form: against whole haplotypes written out, and against `bcftools norm`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.core.errors import InputError
from afml.genomics.calls.align import Aligner, is_rotation
from afml.genomics.calls.site_calls import Rules
from afml.genomics.sites import trimmed
from tests.genomics.calls.lines import panel_of, taken
from tests.simulated import write_records


def write_fasta(path: Path, **contigs: str) -> Path:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    pysam.faidx(str(path))
    return path


def haplotype(reference: str, pos: int, ref: str, alt: str) -> str:
    """The contig with one change made: what the change is, however it is written."""
    assert reference[pos - 1 : pos - 1 + len(ref)] == ref
    return reference[: pos - 1] + alt + reference[pos - 1 + len(ref) :]


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, int, str, str]:
    """(a repetitive reference, position, REF, ALT)."""
    unit = draw(st.sampled_from(["A", "CA", "ACG", "AAC"]))
    reference = draw(st.text("ACGT", min_size=3, max_size=6)) + unit * draw(st.integers(2, 6))
    reference += draw(st.text("ACGT", min_size=3, max_size=6))
    start = draw(st.integers(1, len(reference) - 1))
    ref = reference[start : start + draw(st.integers(1, 5))]
    alt = draw(st.one_of(st.just(ref[:1]), st.just(ref + unit), st.text("ACGT", min_size=1, max_size=5)))
    return reference, start + 1, ref, alt


@settings(max_examples=150, deadline=None)
@given(changes())
def test_two_forms_of_one_change_become_one(
    tmp_path_factory: pytest.TempPathFactory, change: tuple[str, int, str, str]
) -> None:
    reference, pos, ref, alt = change
    if ref == alt:
        return
    fasta = write_fasta(tmp_path_factory.mktemp("fasta") / "one.fa", chr22=reference)
    with Aligner(fasta) as aligner:
        _, at, short_ref, short_alt = aligner.normal("22", pos, ref, alt)
        made = haplotype(reference, pos, ref, alt)
        assert haplotype(reference, at, short_ref, short_alt) == made
        # Every other place at which an indel of the same length gives the same haplotype has the same form.
        for other in range(1, len(reference)):
            for long in (reference[other - 1 : other + len(ref) - 1], reference[other - 1]):
                for put in (long[0], made[other - 1 : other - 1 + len(long) + len(alt) - len(ref)]):
                    if put and long != put and haplotype(reference, other, long, put) == made:
                        assert aligner.normal("22", other, long, put)[1:] == (at, short_ref, short_alt)
                        if is_rotation((short_ref, short_alt), (short_ref, short_alt)):  # a pure indel
                            assert is_rotation(trimmed(pos, ref, alt)[1:], trimmed(other, long, put)[1:])


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs bcftools")
def test_forms_are_those_of_bcftools_norm(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    units = ["A", "CA", "ACG", "TTTA"]
    reference = "".join(
        "".join(rng.choice(list("ACGT"), 6)) + units[rng.integers(4)] * int(rng.integers(2, 8)) for _ in range(60)
    )
    fasta = write_fasta(tmp_path / "ref.fa", **{"22": reference})
    rows = []
    for pos in range(5, len(reference) - 12, 3):
        ref = reference[pos - 1 : pos - 1 + int(rng.integers(1, 7))]
        for alt in {
            ref[:1],
            ref + reference[pos : pos + 2],
            "".join(rng.choice(list("ACGT"), int(rng.integers(1, 5)))),
        }:
            if alt != ref:
                rows.append((pos, ref, alt))
    write_records(
        tmp_path / "in.vcf.gz",
        [f"22 {pos} {n} {ref} {alt} . . . GT 0/1" for n, (pos, ref, alt) in enumerate(rows)],
        ["a"],
    )
    done = subprocess.run(
        ["bcftools", "norm", "-f", str(fasta), str(tmp_path / "in.vcf.gz")], capture_output=True, text=True, check=True
    )
    theirs = {
        int(f[2]): (int(f[1]), f[3], f[4])
        for f in (line.split("\t") for line in done.stdout.splitlines() if line[0] != "#")
    }
    with Aligner(fasta) as aligner:
        ours = {n: aligner.normal("22", *row)[1:] for n, row in enumerate(rows)}
    assert ours == theirs
    assert sum(ours[n] != trimmed(*row) for n, row in enumerate(rows)) > 50  # many had to be moved


def test_with_a_reference_the_panels_indel_is_found_wherever_it_is_written(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "ref.fa", chr22="GGTTCACACACATTGG")
    record = "22 10 . ACA A . . . GT 0/1 1/1"  # the last of four CA; leftmost: 4 TCA>T
    panel = panel_of("22 4 TCA T")
    assert taken(panel, record).copies == [[-1, -1]]
    assert list(taken(panel, record).tally.absent()) == ["an indel aligned otherwise (--fasta)"]
    rules = Rules(fasta=fasta)
    assert taken(panel, record, rules=rules).copies == [[1, 2]]
    # A panel that is not left-aligned itself, and an MNP written with more bases than it needs.
    turned = panel_of("22 6 ACA A", "22 2 GT CC")
    found = taken(turned, record, "22 1 . GGT GCC . . . GT 1/1 0/0", rules=rules)
    assert found.copies == [[1, 2], [2, 0]]
    with pytest.raises(InputError, match="has other bases at 22:5 than REF there; give the FASTA of the build"):
        taken(panel, "22 5 . GA G . . . GT 0/1", rules=rules)
    with pytest.raises(InputError, match="has other bases at 22:7"):
        taken(panel_of("22 7 CC C"), record, rules=rules)


def test_with_a_reference_an_mnp_is_split_as_bcftools_does(tmp_path: Path) -> None:
    reference = "GGTTCACACACATTGG"
    fasta = write_fasta(tmp_path / "ref.fa", **{"22": reference})
    records = [
        "22 3 . TTC GTA,GGC,TTA . . . GT 0/1 1/2 2/3 3/3 ./. 0/0",
        "22 7 . C T . . . GT 0/1 0/0 1/1 0/1 0/0 ./.",
        "22 12 . AT GG . . . GT 0/1 0/0 1/1 0/1 0/0 ./.",
    ]
    names = [f"S{n}" for n in range(6)]
    write_records(tmp_path / "in.vcf.gz", records, names)
    split = subprocess.run(
        ["bcftools", "norm", "-a", "-m-", "-f", str(fasta), str(tmp_path / "in.vcf.gz")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wanted: dict[str, list[int]] = {}
    for row in (line.split("\t") for line in split.splitlines() if not line.startswith("#")):
        copies = [-1 if "." in call else call.count("1") for call in row[9:]]
        if row[4] != "*":
            site = f"22 {row[1]} {row[3]} {row[4]}"
            held = wanted.setdefault(site, copies)
            wanted[site] = [-1 if a < 0 else max(a, b) for a, b in zip(held, copies, strict=True)]
    panel = panel_of(*wanted)
    assert len(panel) >= 6
    assert taken(panel, *records, rules=Rules(fasta=fasta)).copies == list(wanted.values())
    without = taken(panel, *records)
    assert without.tally.absent()["part of an MNP (--fasta)"] >= 3


def test_a_fasta_without_an_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ref.fa").write_text(">22\nACGT\n")
    with pytest.raises(InputError, match="FASTA has no index; make one with samtools faidx"):
        Aligner(tmp_path / "ref.fa")
    with pytest.raises(InputError, match="does not exist"):
        Aligner(tmp_path / "none.fa")
