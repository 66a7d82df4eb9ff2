"""What is asked of records and calls: FILTER, FT, GQ, DP, and dosages without genotypes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import GateError, InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.account import require_numbers
from afml.genomics.calls.quality import QualityPolicy
from afml.genomics.calls.settle import settle
from afml.genomics.calls.site_calls import Rules
from afml.genomics.calls.tally import Tally
from afml.genomics.sites import SitePanel
from tests.genomics.calls.lines import panel_of, taken

SNV = panel_of("22 10 A C")


def test_quality_is_asked_of_records_and_calls() -> None:
    line = (
        "22 10 . A C . q10 . GT:FT:GQ:DP 0/1:PASS:30:9 0/1:lowGQ:30:9 1/1:.:9:9 1/1:PASS:.:9 0/0:PASS:30:3 ./.:PASS:1:1"
    )
    passing = line.replace("q10", "PASS")
    assert taken(SNV, passing).copies == [[1, -1, 2, 2, 0, -1]]
    assert taken(SNV, passing).tally.counts[told.FT] == 1
    rules = Rules(QualityPolicy(filters="any", min_gq=20, min_dp=5))
    found = taken(SNV, line, rules=rules)
    assert found.copies == [[1, 1, -1, -1, -1, -1]]
    assert (found.tally.counts[told.GQ], found.tally.counts[told.DP], found.tally.counts[told.FT]) == (2, 1, 0)
    assert found.tally.counts[told.FAILED] == 1
    assert (found.tally.counts[told.GQ_ASKED], found.tally.counts[told.NO_GQ]) == (5, 1)
    assert (found.tally.counts[told.DP_ASKED], found.tally.counts[told.NO_DP]) == (5, 0)
    block = "22 10 . A . . . END=20 GT:RGQ:MIN_DP 0/0:30:9 0/0:9:9 0/0:30:2"
    assert taken(SNV, block, rules=rules).copies == [[0, -1, -1]]
    assert taken(SNV, "22 10 . A C . . . GT 0/1", rules=rules).copies == [[-1]]  # no number is not a good one
    assert "GQ >= 20 (--min-gq)" in rules.policy.remarks()[0]
    assert "GQ: not looked at" in QualityPolicy().remarks()[0]


def test_a_least_number_that_no_call_has_is_refused_by_its_name() -> None:
    line = "22 10 . A C . . . GT:DP:GQ 0/1:9:. 1/1:3:."
    asked = Rules(QualityPolicy(min_gq=20, min_dp=5))
    with pytest.raises(GateError, match=r"none of its 2 calls at the panel's sites has a GQ; leave --min-gq out"):
        require_numbers(taken(SNV, line, rules=asked).tally, Path("own.vcf.gz"))
    with pytest.raises(GateError, match=r"has a DP; leave --min-dp out"):
        require_numbers(taken(SNV, "22 10 . A C . . . GT:GQ 0/1:30", rules=asked).tally, Path("own.vcf.gz"))
    require_numbers(taken(SNV, line.replace("9:.", "9:8"), rules=asked).tally, Path("own.vcf.gz"))
    require_numbers(taken(SNV, line).tally, Path("own.vcf.gz"))  # nobody asked


def test_reference_beside_a_record_that_failed_is_not_known_in_any_order_or_part() -> None:
    block, variant = "22 5 . A <NON_REF> . PASS END=30 GT 0/0 0/0", "22 10 . A C . LowQual . GT 0/0 0/1"
    why = "reference records beside a record of it that failed FILTER (--filters any)"
    for lines in ([block, variant], [variant, block]):
        whole = taken(SNV, *lines)
        tallies = [whole.tally, sum((taken(SNV, line).tally for line in lines[1:]), taken(SNV, lines[0]).tally)]
        for tally in tallies:
            assert settled_calls(SNV, tally, whole.calls).tolist() == [[[-1, -1], [-1, -1]]]
            assert tally.absent() == {why: 1}
    believed = taken(SNV, block, variant.replace("LowQual", "PASS"))
    assert settled_calls(SNV, believed.tally, believed.calls).sum(axis=2).tolist() == [[0, 1]]
    anything = taken(SNV, block, variant, rules=Rules(QualityPolicy(filters="any")))
    assert settled_calls(SNV, anything.tally, anything.calls).sum(axis=2).tolist() == [[0, 1]]
    other = taken(SNV, block, variant.replace("A C", "A G"))  # of another ALT: reference is not the panel's
    assert settled_calls(SNV, other.tally, other.calls).sum(axis=2).tolist() == [[0, 0]]


def settled_calls(panel: SitePanel, tally: Tally, calls: NDArray[np.int8]) -> NDArray[np.int8]:
    """Calls after everything was read, int8 [S, people, 2]."""
    held = calls.copy()
    settle(panel, tally, None, None, lambda sites: held[sites], held.__setitem__)
    return held


def test_of_any_filter_the_record_that_passes_is_believed() -> None:
    rules = Rules(QualityPolicy(filters="any"))
    low, good = "22 10 . A C . LowQual . GT 0/1 0/1", "22 10 . A C . PASS . GT 0/0 1/1"
    assert taken(SNV, low, good, rules=rules).copies == taken(SNV, good, low, rules=rules).copies == [[0, 2]]
    assert taken(SNV, low, rules=rules).copies == [[1, 1]]


def test_dosages_are_rounded_only_when_asked_and_only_when_near() -> None:
    rules = Rules(QualityPolicy(dosages="round"))
    found = taken(SNV, "22 10 . A C . . . DS 0.98 1.9 0.05 1.5 0.89 .", rules=rules)
    assert found.copies == [[1, 2, 0, -1, -1, -1]]
    assert found.tally.counts[told.BETWEEN] == 3
    gp = taken(SNV, "22 10 . A C . . . GP 0.95,0.05,0 0.02,0.95,0.03 0,0.1,0.9 0.5,0.4,0.1 .", rules=rules)
    assert gp.copies == [[0, 1, 2, -1, -1]]
    assert taken(SNV, "22 10 . A G,C . . . DS 0,1 1,0 .,2", rules=rules).copies == [[1, 0, 2]]
    assert taken(SNV, "22 10 . C A . . . DS 0 1 1.7", rules=rules).copies == [[2, 1, -1]]
    assert taken(SNV, "22 10 . C A,G . . . DS 0,1", rules=rules).copies == [[-1]]  # REF's share is not said alone
    with pytest.raises(InputError, match="no GT"):
        taken(SNV, "22 10 . A C . . . DP 3")


def test_dosages_beside_missing_genotypes_are_dosages() -> None:
    line = "22 10 . A C . . . GT:GP ./.:0.95,0.05,0 ./.:0,0.92,0.08 ./.:0,0,1 ./.:."
    assert taken(SNV, line, rules=Rules(QualityPolicy(dosages="round"))).copies == [[0, 1, 2, -1]]
    assert taken(SNV, line).tally.absent() == {"dosages and no genotypes (--dosages round)": 1}
    assert taken(SNV, "22 10 . A C . . . GT:GP:DS ./.:.:. ./.:.:.").tally.absent() == {}  # none are there


def test_probabilities_that_do_not_add_up_are_none() -> None:
    rules = Rules(QualityPolicy(dosages="round"))
    phred = taken(SNV, "22 10 . A C . . . GP 0,30,100 30,0,40 100,30,0 0,0,0", rules=rules)  # as VCF 4.2 has them
    assert phred.copies == [[-1, -1, -1, -1]]
    assert phred.tally.absent() == {"no genotypes, and dosages that are none of two copies": 1}
    both = taken(SNV, "22 10 . A C . . . GP:DS 0,30,100:0 0.99,0.01,0:1 .:2 0.1,0.9:1 0.6,0.4,0:0", rules=rules)
    assert both.copies == [[0, 0, 2, 1, -1]]


def test_quality_is_asked_of_dosages_too() -> None:
    line = "22 10 . A C . . . FT:GQ:DS PASS:40:1 low:40:1 .:3:2"
    found = taken(SNV, line, rules=Rules(QualityPolicy(dosages="round", min_gq=10)))
    assert found.copies == [[1, -1, -1]]
    assert (found.tally.counts[told.FT], found.tally.counts[told.GQ]) == (1, 1)


def test_the_depth_of_a_block_is_its_least() -> None:
    line = "22 4 . T <NON_REF> . . END=20 GT:DP:MIN_DP 0/0:30:20 0/0:30:2 0/0:30:."
    assert taken(SNV, line, rules=Rules(QualityPolicy(min_dp=10))).copies == [[0, -1, 0]]
