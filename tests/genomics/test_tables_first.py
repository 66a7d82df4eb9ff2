"""Tables are checked before a genotype is read: what is wrong with them costs no minutes, and good ones pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afml.core.errors import InputError
from afml.matrices.kind import MATRIX, MatrixOptions
from tests.genomics.test_kinship import child, independent
from tests.genomics.test_persons import SITES, Site

NAMES = [f"N{i}" for i in range(20)]
WHOLE = "sample\tphenotype\tage\n" + "".join(f"{name}\t{place % 2}\t{40 + place}\n" for place, name in enumerate(NAMES))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Whose panel cannot be read: whoever gets as far as that says so."""
    made = Site(tmp_path, independent(20, SITES, 1), NAMES)
    (tmp_path / "panel.vcf.gz").write_bytes(b"no genotypes")
    return made


def prepare(site: Site, table: str, **options: Any) -> None:
    (site.root / "own.tsv").write_text(table)
    place = f"built-{len(list(site.root.glob('built-*')))}"
    site.build(place, phenotypes=site.root / "own.tsv", **options)


def test_a_whole_table_is_no_reason_to_stop(site: Site) -> None:
    with pytest.raises(InputError, match=r"panel\.vcf\.gz"):
        prepare(site, WHOLE)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (WHOLE.replace("phenotype", "phenotpye", 1), "has a column 'phenotpye' and none 'phenotype'"),
        (WHOLE.replace("\t", ";"), "columns are separated by ';'"),
        (WHOLE.replace("sample\t", "id\t", 1), "call the first column 'sample'"),
        ("".join(WHOLE.splitlines(keepends=True)[:-3]), r"3 of 20 samples have no phenotype \(N17, N18, N19\)"),
        (WHOLE.replace("N0\t0", "N0\t3"), "line 2 has no phenotype 0 or 1"),
        (WHOLE.replace("\t41\n", "\t-9\n"), "column 'age' holds -9 in 1 rows"),
        (WHOLE.replace("N1\t", "N0\t"), "line 3 repeats sample N0"),
    ],
)
def test_what_is_wrong_with_a_table_is_met_first(site: Site, table: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        prepare(site, table)
    assert refused.value.where == str(site.root / "own.tsv")


def test_so_are_lists_of_people(site: Site) -> None:
    (site.root / "people.tsv").write_text("person\tsample\n")
    with pytest.raises(InputError, match="first line is not sample<TAB>person"):
        prepare(site, WHOLE, people=site.root / "people.tsv")
    (site.root / "samples.txt").write_text("\n")
    with pytest.raises(InputError, match="names nobody"):
        prepare(site, WHOLE, samples=site.root / "samples.txt")


def test_rows_may_stand_under_any_name_and_who_is_left_out_needs_none(site: Site) -> None:
    table = WHOLE.replace("N4\t", "other\t").replace("N5\t1\t45\n", "")
    (site.root / "people.tsv").write_text("sample\tperson\nother\tN4\n")
    (site.root / "gone.txt").write_text("N5\n")
    told = {"people": site.root / "people.tsv", "without": site.root / "gone.txt"}
    with pytest.raises(InputError, match=r"panel\.vcf\.gz"):
        prepare(site, table, **told)
    with pytest.raises(InputError, match=r"1 of 20 samples have no phenotype \(N5\)"):
        prepare(site, table, people=told["people"])


def test_who_may_still_be_left_out_needs_no_row(tmp_path: Path) -> None:
    dosage = independent(20, SITES, 1)
    dosage[4] = child(dosage[2], dosage[3], 7)
    dosage[4, :30] = -1
    whole = Site(tmp_path, dosage, NAMES)
    table = "".join(line for line in WHOLE.splitlines(keepends=True) if not line.startswith("N4\t"))
    with pytest.raises(InputError, match=r"1 of 20 samples have no phenotype \(N4\)"):
        prepare(whole, table)
    prepare(whole, table, relatives="fold")
    # Nobody at all with a row is another matter, whoever is left out.
    with pytest.raises(InputError, match="20 of 20 samples have no phenotype"):
        prepare(whole, WHOLE.replace("N", "M"), relatives="fold")


def test_of_a_matrix_too(tmp_path: Path) -> None:
    for name in ("own.tsv", "public.tsv"):
        (tmp_path / name).write_text("no matrix")
    (tmp_path / "people.tsv").write_text(WHOLE.replace("phenotype", "phenotpye", 1))
    options = MatrixOptions(
        matrix=tmp_path / "own.tsv", panel_matrix=tmp_path / "public.tsv", phenotypes=tmp_path / "people.tsv"
    )
    with pytest.raises(InputError, match="has a column 'phenotpye'"):
        MATRIX.build(tmp_path / "built", options, lambda text: None)
