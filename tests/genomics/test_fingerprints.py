"""Fingerprints: two readings of a person share several, strangers and relatives none, missing calls make fewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from afml.consortium.overlap import BANDS, SHARED
from afml.core.errors import InputError
from afml.genomics.files import GenotypeFiles
from afml.genomics.fingerprints import fingerprints, telling_bands, telling_sites
from afml.genomics.kind import GENOTYPES, GenotypeOptions
from afml.genomics.marks import genotype_marks
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from tests.genomics.test_kinship import child, read_again
from tests.simulated import simulate_dosage, simulate_panel, write_vcf

PANEL, PEOPLE, SITES = 200, 300, 3000


@pytest.fixture(scope="module")
def setting() -> tuple[SitePanel, list[NDArray[np.int64]], NDArray[np.int8]]:
    dosage = simulate_dosage(PANEL + PEOPLE, SITES, seed=4)
    panel = simulate_panel(dosage[:PANEL])
    return panel, telling_bands(panel, dosage[:PANEL], Path("panel")), dosage[PANEL:]


Setting = tuple[SitePanel, list[NDArray[np.int64]], NDArray[np.int8]]


def shared(setting: Setting, one: NDArray[np.int8], other: NDArray[np.int8]) -> NDArray[np.int64]:
    panel, sites, _ = setting
    pairs = zip(genotype_marks(panel, sites, one), genotype_marks(panel, sites, other), strict=True)
    return np.array([len(set(a) & set(b)) for a, b in pairs])


def test_two_readings_with_one_wrong_call_in_a_hundred_are_one_person(setting: Setting) -> None:
    people = setting[2]
    assert len(setting[1]) == BANDS
    assert shared(setting, read_again(people, 1), read_again(people, 2)).min() >= SHARED


def test_strangers_and_relatives_are_not(setting: Setting) -> None:
    panel, sites, people = setting
    owners: dict[bytes, int] = {}
    for person, own in enumerate(genotype_marks(panel, sites, people)):
        assert all(owners.setdefault(mark, person) == person for mark in own)
    half = PEOPLE // 2
    children = np.stack([child(a, b, n) for n, (a, b) in enumerate(zip(people[:half], people[half:], strict=True))])
    siblings = np.stack(
        [child(a, b, -n - 1 + 10**6) for n, (a, b) in enumerate(zip(people[:half], people[half:], strict=True))]
    )
    for others in (people[:half], people[half:], siblings):
        assert shared(setting, children, others).max() == 0


def test_sites_are_common_and_bands_have_no_site_twice(setting: Setting) -> None:
    panel, sites, _ = setting
    assert panel.maf[telling_sites(panel)].min() >= 0.2
    assert all(len(set(band.tolist())) == len(band) for band in sites)
    assert len({band.tobytes() for band in sites}) == BANDS


def test_few_sites_are_refused() -> None:
    dosage = simulate_dosage(PANEL, 60, seed=4)
    with pytest.raises(InputError, match="too few or too linked"):
        telling_bands(simulate_panel(dosage), dosage, Path("panel"))


def test_those_of_a_prepared_folder_are_of_the_people_asked_for(tmp_path: Path) -> None:
    dosage = simulate_dosage(PANEL + 30, 1500, seed=6)
    write_vcf(tmp_path / "panel.vcf.gz", dosage[:PANEL])
    own = dosage[PANEL:].copy()
    own[3, ::25] = -1
    write_vcf(tmp_path / "own.vcf.gz", own, samples=[f"N{person}" for person in range(30)])
    options = GenotypeOptions(vcf=tmp_path / "own.vcf.gz", panel_vcf=tmp_path / "panel.vcf.gz", sites=1500)
    (tmp_path / "data").mkdir()
    GENOTYPES.build(tmp_path / "data", options, lambda text: None)
    store = GenotypeStore.open(GenotypeFiles(tmp_path / "data").cohort_store)
    panel_people = GenotypeStore.open(GenotypeFiles(tmp_path / "data").panel_store).dosage()
    sites = telling_bands(store.panel, panel_people, tmp_path)
    rows = np.array([1, 3, 7, 29])
    found = list(fingerprints(tmp_path / "data", rows))
    assert found == list(genotype_marks(store.panel, sites, store.dosage(rows)))
    assert [len(own) for own in found if len(own) == BANDS] == [BANDS] * 3
    assert 0 < len(found[1]) < BANDS
