"""Genotypes as a kind of data: what `afml prepare` makes of an institution's VCF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import Field

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import require_file
from afml.data.kind import Built, Note
from afml.data.people import PersonColumns
from afml.data.persons import PEOPLE_HELP, WITHOUT_HELP, Who, read_who
from afml.genomics.build import build_panel_store, build_store, fold_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.files import GenotypeFiles
from afml.genomics.marks import bands, genotype_marks
from afml.genomics.persons import (
    COUNTS_FILE,
    Choice,
    Duplicates,
    PersonCounts,
    Relatives,
    find_people,
    save_people,
)
from afml.genomics.phenotypes import read_phenotypes
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore, people_at_once


class GenotypeOptions(Settings):
    """What `afml prepare` is told of genotypes; `phenotypes` are read by `afml.genomics.phenotypes`."""

    vcf: Path = Field(description="those of this institution.")
    panel_vcf: Path = Field(
        description="the public panel, the same everywhere: people, or a VCF without samples that states allele "
        "frequencies."
    )
    panel_af_field: str | None = Field(
        default=None, description="INFO field of those frequencies, one per ALT.  [default: AF]"
    )
    drawn_people: int | None = Field(
        default=None, ge=2, description="people drawn from them, where the panel holds none.  [default: 500]"
    )
    phenotypes: Path | None = Field(
        default=None,
        description="TSV: sample, phenotype (0 or 1); or sample, name1, ...; left out for runs without traits.",
    )
    exclude: tuple[Path, ...] = Field(default=(), description="BED of regions to leave out; may be repeated.")
    people: Path | None = Field(default=None, description=PEOPLE_HELP)
    without: Path | None = Field(default=None, description=WITHOUT_HELP)
    duplicates: Duplicates = Field(
        default="refuse", description="the same record under the names of two people, or in the panel too."
    )
    relatives: Relatives = Field(
        default="report", description="relatives; fold keeps the member of a family who has the most calls."
    )
    sites: int = Field(default=1024, description="most common sites to keep.")
    min_maf: float = Field(default=0.01, description="smallest frequency in the panel.")

    @property
    def choice(self) -> SiteChoice:
        """Which sites of the panel these are."""
        return SiteChoice(self.sites, self.min_maf, self.exclude, self.panel_af_field, self.drawn_people)


class GenotypeData:
    """Genotypes at the sites of a public panel, with a table of traits and covariates."""

    options: type[Settings] = GenotypeOptions
    unit = "sites"

    def build(self, out: Path, options: Settings, note: Note) -> Built:
        """Choose the sites and build the stores; see `DataKind.build`."""
        given = cast(GenotypeOptions, options)
        for path, what in ((given.vcf, "VCF"), (given.panel_vcf, "panel VCF"), (given.phenotypes, "phenotype table")):
            if path is not None:
                require_file(path, what)
        files = GenotypeFiles(out)
        note("choosing sites on the public panel")
        panel = build_site_panel(given.panel_vcf, given.choice)
        panel.save(files.site_panel)
        note("storing the public panel")
        public = build_panel_store(given.panel_vcf, panel, files.panel_store)
        note("storing this institution's genotypes")
        who = read_who(given.people, given.without)
        person_of = who.person_of
        store = _without(build_store(given.vcf, panel, files.cohort_store), files, who, given.without)
        note("looking for one person's records under several names, and for relatives")
        found = find_people(store, public, Choice(person_of, given.duplicates, given.relatives, given.vcf))
        save_people(files.cohort_store.parent, found.told_of(who.matched), store.samples)
        samples = tuple(found.columns)
        if samples != tuple(store.samples):
            fold_store(files.cohort_store, panel, found.columns)
        columns = PersonColumns((), np.zeros((len(samples), 0)))
        if given.phenotypes is not None:
            columns = read_phenotypes(given.phenotypes, samples, found.names(store.samples, person_of))
        return Built(samples, columns, DataAgreement(kind="genotypes", fingerprint=panel.digest(), features=len(panel)))

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Who belongs together among the columns, and where the panel's people come from, if they are drawn."""
        files = GenotypeFiles(folder)
        note = SitePanel.load(files.site_panel).drawn_note
        counts = PersonCounts.load(files.cohort_store.parent / COUNTS_FILE)
        return (*counts.remarks(), *([note] if note else []))

    def marks(self, folder: Path) -> Iterator[tuple[bytes, ...]]:
        """Bands of sites; see `afml.genomics.marks`."""
        files = GenotypeFiles(folder)
        store = GenotypeStore.open(files.cohort_store)
        sites = bands(store.panel, GenotypeStore.open(files.panel_store).dosage())
        for rows in people_at_once(store):
            yield from genotype_marks(store.panel, sites, store.dosage(rows))


def _without(store: GenotypeStore, files: GenotypeFiles, who: Who, where: Path | None) -> GenotypeStore:
    """The store of a VCF's columns without those of people who are left out: nothing is made of these."""
    kept = {name: [column] for column, name in enumerate(store.samples) if who.person(name) is not None}
    if len(kept) == len(store.samples):
        return store
    if not kept:
        raise InputError("nobody is left", where=where, cure="leave fewer people out")
    return fold_store(files.cohort_store, store.panel, kept)


GENOTYPES = GenotypeData()
