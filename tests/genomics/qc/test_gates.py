"""Every gate refuses with its number and the option that lifts it, and that option does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.core.errors import GateError, InputError
from afml.data.kind import Built
from afml.genomics.files import GenotypeFiles
from afml.genomics.kind import GENOTYPES, GenotypeOptions
from afml.genomics.qc.report import QcReport
from tests.simulated import simulate_dosage, write_vcf

PANEL, PEOPLE, SITES = 60, 30, 200
Genotypes = NDArray[np.int8]


class Site:
    """An institution's inputs, of which a test spoils the cohort."""

    def __init__(self, root: Path) -> None:
        self.root = root
        dosage = simulate_dosage(PANEL + PEOPLE, SITES, seed=11)
        self.panel, self.own = dosage[:PANEL], dosage[PANEL:]
        write_vcf(root / "panel.vcf.gz", self.panel, samples=[f"P{i}" for i in range(PANEL)])

    def build(self, own: Genotypes, names: list[str] | None = None, **options: Any) -> Built:
        write_vcf(self.root / "own.vcf.gz", own, samples=names or [f"N{i}" for i in range(len(own))])
        place = self.root / f"built-{len(list(self.root.iterdir()))}"
        place.mkdir()
        self.place = place
        given = {"vcf": self.root / "own.vcf.gz", "panel_vcf": self.root / "panel.vcf.gz", "sites": SITES}
        return GENOTYPES.build(place, GenotypeOptions.model_validate(given | options), lambda text: None)

    def report(self) -> QcReport:
        return QcReport.load(GenotypeFiles(self.place).qc)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def without(dosage: Genotypes, share: float, seed: int = 0) -> Genotypes:
    """Some calls are missing."""
    return np.where(np.random.default_rng(seed).random(dosage.shape) < share, -1, dosage).astype(np.int8)


def sparse_people(site: Site) -> Genotypes:
    own = site.own.copy()
    own[:2] = without(own[:2], 0.5)
    return own


def sparse_sites(site: Site) -> Genotypes:
    own = site.own.copy()
    own[:4, :16] = -1  # 26 of 30 people are called there, and everybody at more than nine sites in ten
    return own


def swapped(site: Site) -> Genotypes:
    own = site.own.copy()
    own[:, :150] = 2 - own[:, :150]
    return own


def in_the_panel(site: Site) -> Genotypes:
    own = site.own.copy()
    own[:3] = site.panel[:3]
    return own


GATE = re.compile(r" (\d+) of \d+  at most (\d+)$")
CASES = {
    "people": (sparse_people, "2 of 30 people have calls at less than 0.9 of the sites", {"min_person_call_rate": 0.3}),
    "dropped": (sparse_people, "2 of 30 people have calls at less than 0.9 of the sites", {"poorly_called": "drop"}),
    "sites": (sparse_sites, "are called in less than 0.9 of the people", {"min_site_call_rate": 0.8}),
    "share": (sparse_sites, "are called in less than 0.9 of the people", {"max_absent": 0.1}),
    "frequency": (swapped, "sites are more than 0.2 from the panel's", {"max_frequency_difference": 1.0}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_gate_refuses_with_a_number_and_an_option_that_lifts_it(
    site: Site, case: tuple[Any, str, Mapping[str, Any]]
) -> None:
    spoil, problem, options = case
    with pytest.raises(GateError) as refused:
        site.build(spoil(site))
    assert problem in str(refused.value)
    over = [row for row in refused.value.table if (of := GATE.search(row)) and int(of[1]) > int(of[2])]
    assert len(over) == 1, "the table shows by how much one gate is missed"
    (option,) = options
    named = re.findall(r"--[a-z-]+", refused.value.cure)
    assert "--" + option.replace("_", "-") in named
    assert not GenotypeFiles(site.place).qc.exists()
    built = site.build(spoil(site), **options)
    assert len(built.samples) == (28 if options == {"poorly_called": "drop"} else 30)
    assert site.report().stays.dropped == 30 - len(built.samples)


def test_who_is_refused_sees_what_was_measured(site: Site) -> None:
    names = [f"N{i}" for i in range(PEOPLE)]
    refusals = {
        "people who were found": (in_the_panel(site), {}, "lowest, median call rate of sites  +1.000, 1.000"),
        "sites that are absent": (site.own[:, :100], {}, "of these: not in the file  +100"),
        "calls without a quality": (
            site.own,
            {"min_gq": 20},
            r"calls of too low GQ or without one, taken as missing +\d{4}\n",
        ),
    }
    for own, options, told in refusals.values():
        with pytest.raises(GateError) as refused:
            site.build(own, names, **options)
        shown = "\n".join(refused.value.table)
        assert re.search(told, shown), shown
        assert "GQ" in shown, "and by which rules"
        assert not re.search(r"\bN\d", shown), "and of nobody by name"


def test_nobody_with_calls_is_refused_even_where_people_are_dropped(site: Site) -> None:
    for share, told in ((1.0, "lowest 0.000"), (0.6, "lowest 0.3")):
        for options in ({}, {"poorly_called": "drop"}):
            with pytest.raises(InputError, match=f"30 of 30 people have calls .*{re.escape(told)}"):
                site.build(without(site.own, share), **options)


def test_people_of_the_panel_are_found_by_name_where_sites_cannot_tell(site: Site) -> None:
    own = in_the_panel(site)[:, :30]
    write_vcf(site.root / "panel.vcf.gz", site.panel[:, :30], samples=[f"P{i}" for i in range(PANEL)])
    names = [*(f"P{i}" for i in range(3)), "P40", *(f"N{i}" for i in range(PEOPLE - 4))]
    with pytest.raises(InputError, match=r"3 people are in the public panel as well; .* --max-panel-overlap 3 "):
        site.build(own, names)
    site.build(own, names, max_panel_overlap=3)
    found = site.report().stays
    assert (found.same_in_panel, found.names_in_panel) == (3, 1)
    site.build(own, names, duplicates="fold")


def test_what_may_leave_does_not_change_with_the_people(site: Site) -> None:
    reports = []
    for own in (site.own, site.own[::-1][:20]):
        site.build(own)
        reports.append(json.loads(GenotypeFiles(site.place).qc.read_bytes()))
    assert reports[0]["may_leave"] == reports[1]["may_leave"]
    assert reports[0]["stays"] != reports[1]["stays"]
    waterfall = dict(reports[0]["may_leave"]["waterfall"])
    assert waterfall.pop("ALT alleles in the panel's file") == sum(waterfall.values()) == SITES
    assert GenotypeFiles(site.place).qc.stat().st_mode & 0o777 == 0o600


def test_the_table_says_what_was_counted(site: Site) -> None:
    own = site.own.copy()
    own[0, :3] = -1
    site.build(own)
    text = "\n".join(GENOTYPES.remarks(site.place))
    assert re.search(r"^people with calls at less than 0\.9 of the sites +0 of 30 +at most 0$", text, re.M)
    assert re.search(r"^records at the panel's places; others are passed over +\d+$", text, re.M)
    found = site.report().stays
    assert found.person_call_rate.lowest == pytest.approx(
        (site.report().may_leave.sites - 3) / site.report().may_leave.sites
    )
    assert found.site_call_rate.lowest == pytest.approx(29 / 30)


def test_what_columns_of_the_table_mean_for_runs_is_said_once(site: Site) -> None:
    names = [f"N{i}" for i in range(PEOPLE)]
    rows = [f"{name}\t{i % 9}\t{'' if i % 5 else i}\tyes" for i, name in enumerate(names)]
    table = site.root / "traits.tsv"
    table.write_text("\n".join(["Sample\tage\tbmi\till\tsex", *(f"{row}\tF" for row in rows)]) + "\n")
    site.build(site.own, names, phenotypes=table)
    told = [line for line in GENOTYPES.remarks(site.place)[:-1] if "column" in line or "'bmi'" in line]
    assert [re.sub(" +", " ", line) for line in told] == [
        "people without a number in column 'bmi' 24",
        "people without a number in column 'ill' 30",
        "people without a number in column 'sex' 30",
        "column 'ill' holds no number for anybody: no run can use it; code it as numbers (cases 1, controls 0)",
        "a run that reads 'bmi' is refused here until everybody has a number in it: complete the table, or leave out "
        "who has none (--without)",
        "the table has no column 'phenotype', which a masking run reads unless it declares others: tell the "
        "coordinator what yours are called (`afml configure --risk`)",
    ]
    rows = [f"{row}{f'{chr(9)}{i % 2}'}" + "\t" * 5 + ("1\t1\t1" if i else "\t\t") for i, row in enumerate(rows)]
    table.write_text("\n".join(["sample\tage\tbmi\till\tphenotype\ta\tb\tc\td\te\tf\tg", *rows]) + "\n")
    site.build(site.own, names, phenotypes=table)
    told = "\n".join(GENOTYPES.remarks(site.place))
    assert "no column 'phenotype'" not in told
    assert "a run that reads 'bmi', 'e', 'f' or 1 more is refused here" in told
