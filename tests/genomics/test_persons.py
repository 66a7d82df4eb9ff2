"""One person is one row, whatever columns the person has; what resembles each other is refused or folded."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afml.core.errors import GateError, InputError
from afml.data.kind import Built
from afml.genomics.files import GenotypeFiles
from afml.genomics.kind import GENOTYPES, GenotypeOptions
from afml.genomics.persons import PAIRS_FILE, merge_calls
from afml.genomics.phenotypes import write_phenotypes
from afml.genomics.store import GenotypeStore
from tests.allocated import allocated
from tests.genomics.test_kinship import child, independent, read_again
from tests.simulated import write_vcf

SITES, PANEL = 1024, 60


class Site:
    """An institution's inputs."""

    def __init__(self, root: Path, dosage: NDArray[np.int8], names: list[str]) -> None:
        self.root, self.dosage = root, dosage
        self.panel = independent(PANEL, SITES, 50)
        self.names = write_vcf(root / "own.vcf.gz", dosage, samples=names)
        write_vcf(root / "panel.vcf.gz", self.panel, samples=[f"P{i}" for i in range(PANEL)])
        write_phenotypes(root / "own.tsv", self.names, np.arange(len(names), dtype=np.int8) % 2)

    def people(self, *rows: tuple[str, str]) -> Path:
        """A map of people."""
        path = self.root / "people.tsv"
        path.write_text("sample\tperson\n" + "".join(f"{sample}\t{person}\n" for sample, person in rows))
        return path

    def build(self, place: str = "built", **changes: Any) -> Built:
        (self.root / place).mkdir()
        options = {
            "vcf": self.root / "own.vcf.gz", "panel_vcf": self.root / "panel.vcf.gz", "sites": SITES, "min_maf": 0.0,
        }  # fmt: skip
        return GENOTYPES.build(self.root / place, GenotypeOptions.model_validate(options | changes), lambda text: None)

    def stored(self, place: str = "built") -> GenotypeStore:
        return GenotypeStore.open(GenotypeFiles(self.root / place).cohort_store)

    def remarks(self, place: str = "built") -> str:
        return "\n".join(GENOTYPES.remarks(self.root / place))


@pytest.fixture
def twice(tmp_path: Path) -> Site:
    """Thirty people; N0 has a second column, S0, with a call of its own and one that differs."""
    dosage = independent(31, SITES, 1)
    dosage[30] = dosage[0]
    dosage[30, 5] = (dosage[0, 5] + 1) % 3
    dosage[0, 6] = -1
    return Site(tmp_path, dosage, [*(f"N{i}" for i in range(30)), "S0"])


def test_two_columns_of_one_person_are_one_record(twice: Site) -> None:
    built = twice.build(people=twice.people(("S0", "N0")))
    assert built.samples == tuple(f"N{i}" for i in range(30))
    store = twice.stored()
    assert tuple(store.samples) == built.samples
    panel = store.panel
    dosage = store.dosage()
    merged = panel.to_minor(twice.dosage[:1])[0]
    merged[6] = panel.to_minor(twice.dosage[30:])[0, 6]
    merged[5] = -1  # they do not agree: a missing call
    assert np.array_equal(dosage[0], merged)
    assert np.array_equal(dosage[1:], panel.to_minor(twice.dosage[1:30]))
    assert "31 columns of the VCF became 30 people" in twice.remarks()
    assert "1 of 1 lines of --people name somebody in the data" in twice.remarks()


def test_who_is_left_out_is_in_no_store(twice: Site) -> None:
    """N0 withdrew, and goes with both columns, whichever of its names is listed."""
    gone = twice.root / "gone.txt"
    gone.write_text("S0\nN3\nnobody\n")
    built = twice.build(people=twice.people(("S0", "N0")), without=gone)
    assert built.samples == ("N1", "N2", *(f"N{i}" for i in range(4, 30)))
    store = twice.stored()
    rows = [1, 2, *range(4, 30)]
    assert np.array_equal(store.dosage(), store.panel.to_minor(twice.dosage[rows]))
    assert "2 of 3 lines of --without name somebody in the data" in twice.remarks()
    gone.write_text("".join(f"{name}\n" for name in twice.names))
    with pytest.raises(InputError, match="nobody is left"):
        twice.build("none", without=gone)


def test_the_same_record_under_two_names_is_refused_or_folded(twice: Site) -> None:
    with pytest.raises(GateError, match=r"1 pairs of columns are the same record under two .*--duplicates fold") as no:
        twice.build("refused")
    assert "S0" not in str(no.value).replace(str(twice.root), "")
    assert no.value.listed is not None
    assert [line.split("\t")[:2] for line in no.value.listed.read_text().splitlines()[1:]] == [["N0", "S0"]]
    built = twice.build(duplicates="fold")
    assert built.samples == tuple(f"N{i}" for i in range(30))
    assert "1 pairs of columns were the same record" in twice.remarks()
    pairs = GenotypeFiles(twice.root / "built").cohort_store.parent / PAIRS_FILE
    assert stat.S_IMODE(pairs.stat().st_mode) == 0o600
    assert [line.split("\t")[:2] for line in pairs.read_text().splitlines()[1:]] == [["N0", "S0"]]


def test_twenty_columns_of_one_person_are_no_group_of_twenty(tmp_path: Path) -> None:
    people = read_again(np.repeat(independent(1, SITES, 1), 20, axis=0), 2)
    site = Site(tmp_path, people, [f"N{i}" for i in range(20)])
    with pytest.raises(InputError, match="190 pairs of columns are the same record"):
        site.build("refused")
    assert site.build(duplicates="fold", min_site_call_rate=0).samples == ("N0",)


def test_somebody_in_the_panel_too_is_refused_or_told(tmp_path: Path) -> None:
    dosage = independent(20, SITES, 1)
    dosage[3] = independent(PANEL, SITES, 50)[9]
    site = Site(tmp_path, dosage, [f"N{i}" for i in range(20)])
    with pytest.raises(InputError, match="1 people are in the public panel as well"):
        site.build("refused")
    assert len(site.build(duplicates="fold").samples) == 20
    assert "1 people are in the public panel as well" in site.remarks()


def test_relatives_are_told_refused_or_one_of_them_is_kept(tmp_path: Path) -> None:
    dosage = independent(20, SITES, 1)
    dosage[4] = child(dosage[2], dosage[3], 7)
    dosage[2, :30] = -1
    site = Site(tmp_path, dosage, [f"N{i}" for i in range(20)])
    assert len(site.build().samples) == 20
    assert "2 pairs of relatives to the first degree" in site.remarks()
    with pytest.raises(InputError, match="2 pairs of people are relatives"):
        site.build("refused", relatives="refuse")
    kept = site.build("folded", relatives="fold").samples
    # The parents are no relatives of each other: N3, met first among those with every call, and with it N2.
    assert kept == tuple(f"N{i}" for i in range(20) if i != 4)
    assert len(site.stored("folded")) == 19


def test_phenotypes_stand_under_any_name_of_a_person_and_must_agree(twice: Site) -> None:
    table = twice.root / "own.tsv"
    people = twice.people(("N0", "ann"), ("S0", "ann"), ("N1", "bob"))
    lines = ["sample\tphenotype", "N0\t1", "S0\t1", "bob\t0", *(f"N{i}\t1" for i in range(2, 30))]
    table.write_text("\n".join(lines) + "\n")
    built = twice.build(people=people, phenotypes=table)
    assert built.samples[:3] == ("ann", "bob", "N2")
    assert built.columns.values[:3, 0].tolist() == [1, 0, 1]
    table.write_text("\n".join(lines).replace("S0\t1", "S0\t0") + "\n")
    with pytest.raises(InputError, match="1 people have several rows that do not say the same"):
        twice.build("refused", people=people, phenotypes=table)


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=1, max_size=4), min_size=1, max_size=4))
def test_merged_calls_against_a_slow_rule(groups: list[list[int]]) -> None:
    copies = np.array([value for group in groups for value in group])
    pairs = np.stack([copies > 0, copies > 1], axis=1).astype(np.int8)
    pairs[copies < 0] = -1
    ends = np.cumsum([len(group) for group in groups])
    columns = [list(range(end - len(group), end)) for group, end in zip(groups, ends, strict=True)]
    merged = merge_calls(pairs[None], columns)[0]
    for group, pair in zip(groups, merged.tolist(), strict=True):
        called = {value for value in group if value >= 0}
        assert sum(pair) == (called.pop() if len(called) == 1 else -2)


def test_merging_takes_no_more_memory_than_its_result() -> None:
    calls = np.random.default_rng(1).integers(0, 2, (500, 4000, 2)).astype(np.int8)
    everybody = [[column] for column in np.random.default_rng(2).permutation(4000).tolist()]
    merged = merge_calls(calls, everybody)
    assert np.array_equal(merged, np.stack([calls[:, column] for (column,) in everybody], axis=1))
    assert allocated(lambda: merge_calls(calls, everybody)) < 1.3 * merged.nbytes
