"""Genotypes as a kind of data: what `afml prepare` makes of an institution's VCF."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from pydantic import Field

from afml.consortium.card import DataAgreement
from afml.core.config import Settings
from afml.core.files import require_file
from afml.data.kind import Built, Note
from afml.data.people import PersonColumns
from afml.genomics.build import build_panel_store, build_store
from afml.genomics.choice import SiteChoice, build_site_panel
from afml.genomics.files import GenotypeFiles
from afml.genomics.phenotypes import read_phenotypes
from afml.genomics.sites import SitePanel


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
        build_panel_store(given.panel_vcf, panel, files.panel_store)
        note("storing this institution's genotypes")
        samples = tuple(build_store(given.vcf, panel, files.cohort_store).samples)
        columns = PersonColumns((), np.zeros((len(samples), 0)))
        if given.phenotypes is not None:
            columns = read_phenotypes(given.phenotypes, samples)
        return Built(samples, columns, DataAgreement(kind="genotypes", fingerprint=panel.digest(), features=len(panel)))

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Where the panel's people come from, if they are drawn."""
        note = SitePanel.load(GenotypeFiles(folder).site_panel).drawn_note
        return (note,) if note else ()


GENOTYPES = GenotypeData()
