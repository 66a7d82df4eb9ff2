"""X, Y and MT: who has one allele there, what it counts as, and whose sex is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from afml.core.errors import InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.account import Sexes
from afml.genomics.calls.ploidy import Ploidy, ploidy_at
from afml.genomics.calls.settle import PANEL_ALLELES, Settled, _other_strand, settle
from afml.genomics.calls.sexes import Sex, read_sexes
from afml.genomics.calls.site_calls import Rules
from tests.genomics.calls.lines import Taken, panel_of

M, F, U = Sex.MALE, Sex.FEMALE, Sex.UNKNOWN


def settled(found: Taken, declared: Sequence[int] | None = None) -> Settled:
    def put(sites: np.ndarray, calls: np.ndarray) -> None:
        found.calls[sites] = calls

    said = None if declared is None else np.array(declared, dtype=np.uint8)
    return settle(found.panel, found.tally, found.build, said, lambda sites: found.calls[sites], put)


@pytest.mark.parametrize(
    ("build", "chrom", "pos", "expected"),
    [("GRCh37", "X", 60000, Ploidy.X), ("GRCh37", "X", 60001, Ploidy.PAIRED), ("GRCh37", "X", 2699521, Ploidy.X),
     ("GRCh38", "X", 2781479, Ploidy.PAIRED), ("GRCh38", "X", 155701382, Ploidy.X),
     ("GRCh38", "Y", 10001, Ploidy.PAIRED),
     ("GRCh38", "Y", 5_000_000, Ploidy.Y), (None, "X", 60000, Ploidy.PAIRED), (None, "X", 5_000_000, Ploidy.X),
     ("GRCh38", "MT", 100, Ploidy.MT), ("GRCh38", "7", 100, Ploidy.AUTOSOME), (None, "Un_1", 9, Ploidy.PAIRED)],
)  # fmt: skip
def test_where_calls_have_one_allele(build: str | None, chrom: str, pos: int, expected: Ploidy) -> None:
    assert ploidy_at(build, chrom, pos) is expected


def test_one_allele_counts_as_two_outside_the_pairing_regions() -> None:
    panel = panel_of("X 100000 A C", "X 5000000 A C", "Y 5000000 A C", "MT 100 A C")
    found = Taken(panel, 4, Rules(build="GRCh38")).add([
        "X 100000 . A C . . . GT 0/1 1 0/0 .",
        "X 5000000 . A C . . . GT 0/1 1 0 .",
        "Y 5000000 . A C . . . GT . 1 0 .",
        "MT 100 . A C . . . GT 1 0/0 0/1 1|1",
    ])  # fmt: skip
    assert found.copies == [[1, -1, 0, -1], [1, 2, 0, -1], [-1, 2, 0, -1], [2, 0, -1, 2]]
    counts = found.tally.counts
    assert (counts[told.HEMIZYGOUS], counts[told.HAPLOID], counts[told.HETEROPLASMIC]) == (5, 1, 1)
    assert found.tally.hemizygous.tolist() == [0, 1, 1, 0]


def cohort(sites: int = 40, seed: int = 5) -> tuple[Taken, list[int]]:
    """Ten people with calls on X and Y: women, men written haploid, men written as homozygous pairs."""
    rng = np.random.default_rng(seed)
    truth = [F, F, F, F, M, M, M, M, M, M]
    panel = panel_of(*(f"X {5_000_000 + 1_000_000 * n} A C" for n in range(sites)), "Y 5000000 A C")
    lines = []
    for n in range(sites):
        texts = []
        for person, sex in enumerate(truth):
            one, other = (rng.random(2) < 0.3).astype(int)
            texts.append(f"{one}/{other}" if sex is F else f"{one}" if person < 7 else f"{one}/{one}")
        lines.append(f"X {5_000_000 + 1_000_000 * n} . A C . . . GT {' '.join(texts)}")
    lines.append(f"Y 5000000 . A C . . . GT 0/0 {'. ' * 3} {'1 ' * 3} {'1/1 ' * 3}")
    return Taken(panel, 10, Rules(build="GRCh38")).add(lines), [int(sex) for sex in truth]


def test_sex_is_inferred_from_x() -> None:
    found, truth = cohort()
    decided = settled(found)
    assert decided.sexes.tolist() == truth
    assert decided.counts.model_dump() == {
        "male": 6, "female": 4, "unknown": 0, "declared": 0, "inferred": 10, "disagree": 0, "sites_on_x": 40,
    }  # fmt: skip
    assert (found.calls[:40] >= 0).all()
    assert found.copies[40] == [-1] * 4 + [2] * 6  # a woman has no Y, whatever was called there
    assert found.tally.counts[told.FEMALE_Y] == 1


def test_the_table_is_believed_unless_the_calls_differ() -> None:
    found, truth = cohort()
    before = found.calls.copy()
    said = [U, F, M, F, M, F, M, U, M, M]  # person 2 is called as a woman, person 5 has haploid calls
    decided = settled(found, said)
    assert np.flatnonzero(decided.disagree).tolist() == [2, 5]
    assert (decided.counts.declared, decided.counts.disagree) == (8, 2)
    assert [truth[n] for n in (0, 7)] == decided.sexes[[0, 7]].tolist()
    assert (found.calls[:, [2, 5]] == -1).all()
    others = [n for n in range(10) if n not in (2, 5)]
    assert np.array_equal(found.calls[:40, others], before[:40, others])
    assert found.tally.counts[told.OF_UNSURE_SEX] == 40 + 40 + 1  # person 5 has a call on Y


def test_a_male_with_two_alleles_there_has_a_missing_call() -> None:
    panel = panel_of("X 5000000 A C", "X 5000001 A C", "22 10 A C")
    found = Taken(panel, 3, Rules(build="GRCh37")).add([
        "X 5000000 . A C . . . GT 0/1 0/1 1/1", "X 5000001 . A C . . . GT 0/0 0/1 0/1",
        "22 10 . A C . . . GT 0/1 0/1 0/1",
    ])  # fmt: skip
    decided = settled(found, [M, F, U])
    assert found.copies == [[-1, 1, 2], [0, 1, 1], [1, 1, 1]]
    assert found.tally.counts[told.MALE_HET] == 1
    assert decided.counts.unknown == 1  # two sites tell nothing


def test_an_ambiguous_strand_is_left_out_by_frequency() -> None:
    people = 60
    panel = panel_of("22 10 A T", "22 20 A T", "22 30 C G", "22 40 A C", alt_frequency=[0.2, 0.2, 0.48, 0.2])
    rng = np.random.default_rng(2)

    def line(pos: int, ref: str, alt: str, frequency: float) -> str:
        pairs = (rng.random((people, 2)) < frequency).astype(int)
        return f"22 {pos} . {ref} {alt} . . . GT " + " ".join(f"{a}/{b}" for a, b in pairs)

    found = Taken(panel, people).add(
        [line(10, "A", "T", 0.8), line(20, "A", "T", 0.25), line(30, "C", "G", 0.53), line(40, "A", "C", 0.8)]
    )
    before = found.calls.copy()
    settled(found)
    assert (found.calls[0] == -1).all()
    assert np.array_equal(found.calls[1:], before[1:])
    assert found.tally.absent() == {"A/T or C/G whose frequency says the other strand": 1}


def test_near_one_half_however_many_people_say_nothing_of_the_strand() -> None:
    people = 20_000
    panel = panel_of("22 10 A T", "22 20 A T", "22 30 A T", alt_frequency=[0.505, 0.48, 0.4])

    def line(pos: int, frequency: float) -> str:
        alts = round(people * frequency)
        return f"22 {pos} . A T . . . GT " + " ".join(["1/1"] * alts + ["0/0"] * (people - alts))

    found = Taken(panel, people).add([line(10, 0.495), line(20, 0.51), line(30, 0.6)])
    settled(found)
    assert [bool((calls == -1).all()) for calls in found.calls] == [False, False, True]


def test_odds_of_the_other_strand_equal_those_of_a_library() -> None:
    for copies, alleles, frequency in ((3, 40, 0.9), (700, 2000, 0.6), (99_000, 200_000, 0.505), (0, 20, 0.5)):
        alt, ref = PANEL_ALLELES * frequency, PANEL_ALLELES * (1 - frequency)
        here, there = (stats.betabinom.logpmf(copies, alleles, *pair) for pair in ((alt, ref), (ref, alt)))
        assert _other_strand(copies, alleles, frequency) == pytest.approx(there - here, abs=1e-6)


def test_beside_sites_of_the_other_strand_an_ambiguous_one_must_be_told_by_its_frequency() -> None:
    panel = panel_of("22 10 A T", "22 20 C G", "22 30 A T", "22 40 A C", alt_frequency=[0.2, 0.48, 0.2, 0.2])
    few, many = " ".join(["0/0"] * 24 + ["0/1"] * 16), " ".join(["1/1"] * 24 + ["0/1"] * 16)
    half = " ".join(["0/1"] * 40)
    lines = [f"22 10 . A T . . . GT {few}", f"22 20 . C G . . . GT {half}", f"22 30 . A T . . . GT {many}"]
    for alleles, unknown in (("A C", 0), ("T G", 1)):
        found = Taken(panel, 40).add([*lines, f"22 40 . {alleles} . . . GT {few}"])
        settled(found)
        assert (found.calls[0] >= 0).all()
        assert bool((found.calls[1] == -1).all()) == bool(unknown)
        expected = {"A/T or C/G whose frequency says the other strand": 1}
        beside = "A/T or C/G beside sites of the other strand, of a frequency that does not say its own"
        assert found.tally.absent() == (expected | {beside: 1} if unknown else expected)


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(row.replace(" ", "\t") for row in rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("cells", "expected"),
    [(["1", "2", "0", "-9"], [M, F, U, U]), (["M", "F", "male", "Female"], [M, F, M, F]),
     (["1", "0", "1.0", "NA"], [M, F, M, U]), (["1", "2", "2", "."], [M, F, F, U])],
)  # fmt: skip
def test_sex_in_a_phenotype_table(tmp_path: Path, cells: list[str], expected: list[int]) -> None:
    path = table(tmp_path / "ph.tsv", "sample sex height", *(f"S{n} {cell} 1" for n, cell in enumerate(cells)))
    found = read_sexes(path, ["S3", "S0", "elsewhere", "S1", "S2"], {})
    assert found is not None
    assert found.tolist() == [expected[3], expected[0], U, expected[1], expected[2]]


def test_sex_under_the_name_of_a_column_or_of_its_person(tmp_path: Path) -> None:
    path = table(tmp_path / "ph.tsv", "sample sex", "P1 1", "b2 2")
    found = read_sexes(path, ["a1", "b1", "b2"], {"a1": "P1", "b1": "P2", "b2": "P2"})
    assert found is not None
    assert found.tolist() == [M, F, F]
    assert read_sexes(table(tmp_path / "none.tsv", "sample phenotype", "a 1"), ["a"], {}) is None
    assert read_sexes(None, ["a"], {}) is None
    bad = table(tmp_path / "bad.tsv", "sample sex", "a 3")
    assert read_sexes(bad, ["a"], {}, codes=["3"]) is not None
    assert Sexes(bad).of(["a"], panel_of("22 10 A C")) is None  # no site needs it
    with pytest.raises(InputError, match="line 2 has a sex that is neither M, F"):
        Sexes(bad).of(["a"], panel_of("X 10 A C"))


def test_linked_sites_tell_no_sex() -> None:
    """A woman who is homozygous over one stretch is not taken for a man, and keeps her calls elsewhere."""
    panel = panel_of(*(f"X {5_000_000 + n} A C" for n in range(60)), alt_frequency=[0.5] * 60)
    rows = [f"X {5_000_000 + n} . A C . . . GT {'0/1' if n < 3 else '1/1'}" for n in range(60)]
    found = Taken(panel, 1, Rules(build="GRCh38")).add(rows)
    decided = settled(found)
    assert decided.sexes.tolist() == [U]
    assert found.copies[:4] == [[1], [1], [1], [2]]
