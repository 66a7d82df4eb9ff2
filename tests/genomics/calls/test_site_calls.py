"""What each kind of record says of a panel's sites: the right copies, or nothing and why."""

from __future__ import annotations

import numpy as np
import pytest

from afml.core.errors import InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.site_calls import Joining
from tests.genomics.calls.lines import panel_of, taken

SNV = panel_of("22 10 A C")
DELETION = panel_of("22 10 AT A")

RIGHT = {
    "the same": (SNV, ["22 10 . A C . . . GT 0/0 0|1 1/1 ./."], [0, 1, 2, -1]),
    "one ALT of several": (SNV, ["22 10 . A G,C . . . GT 0/1 1/2 2/2 0/2"], [0, 1, 2, 1]),
    "the same ALT twice": (SNV, ["22 10 . A C,C . . . GT 0/2 1/2 1/1 0/0"], [1, 2, 2, 0]),
    "REF among the ALTs": (SNV, ["22 10 . A A,C . . . GT 0/1 1/2 2/2 0/0"], [0, 1, 2, 0]),
    "a spanning deletion": (SNV, ["22 10 . A C,* . . . GT 0/2 1/2 2/2 1/1"], [0, 1, 0, 2]),
    "written with bases after it": (SNV, ["22 10 . ATT CTT,A . . . GT 0/1 1/2 2/2 1/1"], [1, 1, 0, 2]),
    "written with a base before it": (SNV, ["22 9 . TA TC . . . GT 0/1 0/0 1/1 1/1"], [1, 0, 2, 2]),
    "REF and ALT exchanged": (SNV, ["22 10 . C A . . . GT 0/0 0/1 1/1 ./."], [2, 1, 0, -1]),
    "exchanged with another ALT": (SNV, ["22 10 . C A,G . . . GT 0/0 0/2 1/2 2/2"], [2, 1, 0, 0]),
    "exchanged with a deletion that keeps the base": (SNV, ["22 10 . CT AT,C . . . GT 0/0 0/1 1/2 2/2"], [2, 1, 1, 2]),
    "of the other strand": (SNV, ["22 10 . T G . . . GT 0/0 0/1 1/1 ./."], [0, 1, 2, -1]),
    "of the other strand, with another ALT": (SNV, ["22 10 . T C,G . . . GT 0/0 0/1 1/2 2/2"], [0, 0, 1, 2]),
    "of the other strand, with a deletion of it": (SNV, ["22 10 . T G,* . . . GT 0/0 0/1 1/2 2/2"], [0, 1, 1, 0]),
    "of the other strand, exchanged": (SNV, ["22 10 . G T . . . GT 0/0 0/1 1/1 ./."], [2, 1, 0, -1]),
    "of the other strand, then of the panel's": (
        SNV, ["22 10 . T G . . . GT 1/1 1/1 1/1 1/1", "22 10 . A C . . . GT 0/0 0/1 1/1 ./."], [0, 1, 2, -1]
    ),
    "no ALT": (SNV, ["22 10 . A . . . . GT 0/0 0 ./. 0/0"], None),
    "no ALT, reference": (SNV, ["22 10 . A . . . . GT 0/0 0/0 ./. ."], [0, 0, -1, -1]),
    "no ALT, the panel's ALT as reference": (SNV, ["22 10 . C . . . . GT 0/0 0/0 ./. 0/0"], [2, 2, -1, 2]),
    "NON_REF alone": (SNV, ["22 10 . A <NON_REF> . . . GT 0/0 0/1 1/1 0/0"], [0, -1, -1, 0]),
    "NON_REF beside the ALT": (SNV, ["22 10 . A C,<NON_REF> . . . GT 0/0 0/1 1/1 0/2"], [0, 1, 2, 0]),
    "NON_REF beside another ALT": (SNV, ["22 10 . A G,<NON_REF> . . . GT 0/0 0/1 1/1 0/2"], [0, 0, 0, -1]),
    "a block that covers it": (SNV, ["22 4 . T <NON_REF> . . END=20 GT 0/0 0/0 ./. 0/0"], [0, 0, -1, 0]),
    "a bcftools block": (SNV, ["22 4 . T <*> . . END=10 GT 0/0 0/0 0/0 0/0"], [0, 0, 0, 0]),
    "a block without ALT": (SNV, ["22 10 . N . . . END=12 GT 0/0 0/0 0/0 0/0"], [0, 0, 0, 0]),
    "an MNP that holds it, of a gVCF": (
        SNV, ["22 9 . TA GC,<NON_REF> . . . GT 0/0 0/1 1/1 0/0"], [0, -1, -1, 0]
    ),
    "an MNP that does not, of a gVCF": (SNV, ["22 9 . TA GG,<*> . . . GT 0/0 0/1 1/1 0/2"], [0, 0, 0, -1]),
    "an MNP that holds it, beside it": (SNV, ["22 10 . AT CT,CG . . . GT 0/1 0/2 1/1 2/2"], [1, -1, 2, -1]),
    "an MNP that does not, beside it": (SNV, ["22 10 . AT CT,GG . . . GT 0/1 0/2 1/1 1/2"], [1, 0, 2, 1]),
    "a deletion that covers it, of a gVCF": (SNV, ["22 8 . CTA C,<NON_REF> . . . GT 0/0 0/1 1/1 0/0"], [0, 0, 0, 0]),
    "a deletion": (DELETION, ["22 10 . AT A . . . GT 0/0 0/1 1/1 ./."], [0, 1, 2, -1]),
    "a deletion, longer": (DELETION, ["22 9 . CATG CAG . . . GT 0/0 0/1 1/1 ./."], [0, 1, 2, -1]),
    "insertion and deletion in one": (DELETION, ["22 10 . AT ATT,A . . . GT 0/1 0/2 2/2 1/2"], [0, 1, 2, 1]),
    "insertion, then deletion": (
        DELETION,
        ["22 10 . A AT . . . GT 1/1 1/1 0/0 0/0", "22 10 . AT A . . . GT 0/0 0/1 1/1 ./."],
        [0, 1, 2, -1],
    ),
    "a block over a deletion's anchor": (DELETION, ["22 1 . A . . . END=10 GT 0/0 0/0 0/0 ./."], [0, 0, 0, -1]),
    "LowQual, then PASS": (
        SNV,
        ["22 10 . A C . LowQual . GT 0/1 0/1 0/1 0/1", "22 10 . A C . PASS . GT 0/0 0/1 1/1 ./."],
        [0, 1, 2, -1],
    ),
    "PASS, then LowQual": (
        SNV,
        ["22 10 . A C . . . GT 0/0 0/1 1/1 ./.", "22 10 . A C . LowQual . GT 0/1 0/1 0/1 0/1"],
        [0, 1, 2, -1],
    ),
    "two that complete each other": (
        SNV,
        ["22 10 . A C . . . GT 0/0 ./. 1/1 ./.", "22 10 . A C . . . GT 0/0 1/0 ./. ./."],
        [0, 1, 2, -1],
    ),
    "two that disagree, and a third": (
        SNV,
        ["22 10 . A C . . . GT 0/0 0/1 1/1 ./.", "22 10 . A C . . . GT 0/1 0/1 ./. ./.",
         "22 10 . A C . . . GT 0/1 0/1 ./. 0/0"],
        [-1, 1, 2, 0],
    ),
    "covered, then matched": (
        SNV,
        ["22 5 . A <NON_REF> . . END=30 GT 0/0 0/0 0/0 0/0", "22 10 . A C,<NON_REF> . . . GT 0/0 0/1 1/1 ./."],
        [0, 1, 2, -1],
    ),
    "exchanged, then direct: they agree": (
        SNV, ["22 10 . C A . . . GT 0/0 0/1 1/1 0/0", "22 10 . A C . . . GT 1/1 0/1 0/0 0/0"], [2, 1, 0, -1],
    ),
}  # fmt: skip

SWAPPED = {kind for kind in RIGHT if kind.startswith("exchanged")} | {
    "REF and ALT exchanged", "no ALT, the panel's ALT as reference", "of the other strand, exchanged"
}  # fmt: skip


@pytest.mark.parametrize("kind", RIGHT)
def test_the_right_copies(kind: str) -> None:
    panel, lines, copies = RIGHT[kind]
    if copies is None:
        with pytest.raises(InputError, match="1 haploid calls at 22:10, an autosome; correct them"):
            taken(panel, *lines)
        return
    found = taken(panel, *lines)
    assert found.copies == [copies]
    assert found.tally.called.all()
    assert found.tally.absent() == {}
    assert found.tally.swapped.tolist() == [kind in SWAPPED]
    assert found.tally.flipped.tolist() == [kind.startswith("of the other strand") and len(lines) == 1]


ABSENT = {
    "an insertion at the deletion's anchor": (DELETION, "22 10 . A AT . . . GT 0/1", "other alleles at this place"),
    "another ALT": (SNV, "22 10 . A G . . . GT 0/1", "other alleles at this place"),
    "ALT that is REF": (SNV, "22 10 . A A . . . GT 0/1", "other alleles at this place"),
    "a deletion of it": (SNV, "22 9 . TA T . . . GT 0/1", "other alleles at this place"),
    "a named deletion": (SNV, "22 5 . A <DEL> . . END=20 GT 0/0", "other alleles at this place"),
    "only a star": (SNV, "22 10 . A * . . . GT 0/1", "other alleles at this place"),
    "an MNP": (SNV, "22 9 . TA GC . . . GT 0/1", "part of an MNP (--fasta)"),
    "alleles of the other strand in part": (SNV, "22 10 . TA GA,TC . . . GT 0/1", "alleles of the other strand"),
    "the other strand of A/T": (panel_of("22 10 A T"), "22 10 . C G . . . GT 0/1", "another reference base"),
    "another reference": (SNV, "22 10 . T A . . . GT 0/1", "another reference base"),
    "a block of another reference": (SNV, "22 10 . G . . . END=12 GT 0/0", "another reference base"),
    "A/T exchanged": (
        panel_of("22 10 A T"), "22 10 . T A . . . GT 0/1", "A/T or C/G with REF and ALT exchanged",
    ),
    "A/T, no ALT on the other base": (panel_of("22 10 A T"), "22 10 . T . . . . GT 0/0", "other alleles at this place"),
    "an insertion exchanged": (
        panel_of("22 10 A AT"), "22 10 . AT A . . . GT 0/0", "other alleles at this place",
    ),
    "elsewhere in a repeat": (
        panel_of("22 10 ACA A"), "22 14 . ACA A . . . GT 0/1", "an indel aligned otherwise (--fasta)",
    ),
    "elsewhere in a repeat, turned": (
        panel_of("22 10 GCA G"), "22 15 . CAC C . . . GT 0/1", "an indel aligned otherwise (--fasta)",
    ),
    "other letters nearby": (panel_of("22 10 GCA G"), "22 15 . CTC C . . . GT 0/1", "not in the file"),
    "nothing there": (SNV, "22 11 . A C . . . GT 0/1", "not in the file"),
    "failed": (SNV, "22 10 . A C . q10;s50 . GT 0/1", "failed FILTER (--filters any)"),
    "dosages": (SNV, "22 10 . A C . . . DS 0.98", "dosages and no genotypes (--dosages round)"),
    "dosages beside missing genotypes": (SNV, "22 10 . A C . . . GT:DS ./.:0.98",
                                         "dosages and no genotypes (--dosages round)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ABSENT)
def test_nothing_and_why(kind: str) -> None:
    panel, line, why = ABSENT[kind]
    found = taken(panel, line)
    assert found.copies == [[-1]]
    assert found.tally.absent() == {why: 1}


def test_two_sites_at_one_place_each_have_their_own() -> None:
    panel = panel_of("22 10 A C", "22 10 A G", "22 10 AT A", "22 12 G T")
    found = taken(panel, "22 10 . ATG CTG,GTG,AG,ATT . . . GT 0/1 1/2 3/4 4/4")
    assert found.copies == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 2]]
    split = taken(panel, *(f"22 {pos} . {ref} {alt} . . . GT 0/1 0/0" for pos, ref, alt in
                           ((10, "A", "C"), (10, "A", "G"), (10, "AT", "A"), (12, "G", "T"))))  # fmt: skip
    assert split.copies == [[1, 0]] * 4


def test_alleles_that_may_hold_the_panels_are_counted_once() -> None:
    found = taken(SNV, "22 10 . AT CT,CG . . . GT 0/2 1/2 2/2 0/. 2/.")
    assert found.copies == [[-1] * 5]
    assert (found.tally.counts[told.OPEN], found.tally.counts[told.HALF]) == (4, 1)
    assert found.calls[0].tolist() == [[-1, -1]] * 5


def test_half_calls_are_missing_and_counted() -> None:
    found = taken(SNV, "22 10 . A C . . . GT 0/. ./1 1/1 .")
    assert found.copies == [[-1, -1, 2, -1]]
    assert found.tally.counts[told.HALF] == 2
    assert found.calls[0].tolist() == [[-1, -1], [-1, -1], [1, 1], [-1, -1]]  # never one of a pair alone


def test_parts_read_apart_add_up() -> None:
    panel = panel_of("22 10 A C", "22 20 A C", "22 30 A C")
    lines = ["22 10 . C A . . . GT 0/1 0/0", "22 20 . A C . q . GT 0/1 0/0", "22 30 . A C . . . GT 0/1 ./1"]
    whole = taken(panel, *lines)
    parts = [taken(panel, *lines[:1]), taken(panel, *lines[1:])]
    added = parts[0].tally + parts[1].tally
    assert np.array_equal(np.maximum(parts[0].calls, parts[1].calls), whole.calls)
    assert added.counts == whole.tally.counts
    assert np.array_equal(added.states, whole.tally.states)
    assert np.array_equal(added.swapped, whole.tally.swapped)
    assert added.absent() == {"failed FILTER (--filters any)": 1}


def test_parts_that_speak_of_one_site_are_joined_as_if_read_in_one() -> None:
    lines = [
        "22 10 . A C . . . GT 0/0 ./. 1/1 0/0 0/1", "22 10 . A C . . . GT 0/0 0/1 ./. 0/1 ./.",
        "22 10 . A <NON_REF> . . . GT 0/0 0/0 0/0 0/0 0/0", "22 10 . A C . . . GT 0/0 0/1 ./. 0/0 1/1",
    ]  # fmt: skip
    whole = taken(SNV, *lines)
    assert whole.copies == [[0, 1, 2, -1, -1]]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        for cut in (1, 2, 3):
            parts = [taken(SNV, *(lines[n] for n in some)) for some in (order[:cut], order[cut:])]
            join = Joining([part.tally for part in parts])
            found = join(0, [0, 1], np.stack([part.calls[0] for part in parts]))
            assert np.array_equal(found.sum(axis=1), np.where(whole.calls[0, :, 0] < 0, -2, whole.calls[0].sum(axis=1)))
            assert join.tally.absent() == {}
