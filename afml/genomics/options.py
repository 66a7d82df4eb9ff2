"""What `afml prepare` is told of genotypes: a field is one of its options, its description their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from afml.data.persons import PEOPLE_HELP, WITHOUT_HELP
from afml.genomics.calls.quality import Dosages, Filters, QualityPolicy
from afml.genomics.choice import SiteChoice
from afml.genomics.persons import Duplicates, Relatives
from afml.genomics.presets import CPG, PRESETS
from afml.genomics.qc.settings import GateSettings


def _several(given: object) -> object:
    """One path as a list of one."""
    return (given,) if isinstance(given, str | Path) else given


Paths = Annotated[tuple[Path, ...], BeforeValidator(_several), Field(min_length=1)]
"""Files that are read as one."""


_CHOOSING = (
    "panel_af_field",
    "drawn_people",
    "annotations",
    "regions",
    "exclude",
    "exclude_preset",
    "sites",
    "min_maf",
    "panel_filters",
)
"""What a panel file has settled."""


class GenotypeOptions(GateSettings):
    """What `afml prepare` is told of genotypes; `phenotypes` are read by `afml.genomics.phenotypes`."""

    vcf: Paths = Field(
        description="those of this institution: VCF, BCF, PLINK .bed or .pgen, or VCF Zarr; several as a pattern in "
        "quotes, @LIST, or repeated; - is piped in."
    )
    samples: Path | None = Field(
        default=None, description="names of the people to read, one a line; others in the files are passed over."
    )
    site_panel: Path | None = Field(
        default=None, description="the public panel as one file, made with `afml panel create`; instead of --panel-vcf."
    )
    panel_vcf: Annotated[tuple[Path, ...], BeforeValidator(_several)] = Field(
        default=(),
        description="the public panel, the same everywhere: people, or a VCF without samples that states allele "
        "frequencies.",
    )
    panel_af_field: str | None = Field(
        default=None,
        description="INFO field of those frequencies, one per ALT, or a preset such as gnomad-nfe.  [default: AF]",
    )
    drawn_people: int | None = Field(
        default=None, ge=2, description="people drawn from them, where the panel holds none.  [default: 500]"
    )
    phenotypes: Path | None = Field(
        default=None,
        description="TSV: sample, phenotype (0 or 1); or sample, name1, ...; left out for runs without traits.",
    )
    annotations: tuple[Path, ...] = Field(
        default=(), description="what VEP says of the panel's sites (--json or --tab); may be repeated."
    )
    missing_code: tuple[str, ...] = Field(
        default=(),
        description="what stands for a missing value in that table, such as -9; none: nothing does; may be repeated.",
    )
    regions: tuple[str, ...] = Field(
        default=(),
        description="where alone sites are chosen: a BED file, or 22:1000-2000,X and the like; may be repeated.",
    )
    exclude: tuple[Path, ...] = Field(default=(), description="BED of regions to leave out; may be repeated.")
    exclude_preset: tuple[str, ...] = Field(
        default=(), description=f"published regions to leave out: {', '.join((*PRESETS, CPG))}; may be repeated."
    )
    people: Path | None = Field(default=None, description=PEOPLE_HELP)
    without: Path | None = Field(default=None, description=WITHOUT_HELP)
    duplicates: Duplicates = Field(
        default="refuse", description="the same record under the names of two people, or in the panel too."
    )
    relatives: Relatives = Field(
        default="report", description="relatives; fold keeps the member of a family who has the most calls."
    )
    filters: Filters = Field(
        default="pass",
        description="pass: FILTER of records and FT of calls must be PASS or absent; any: not asked.",
    )
    panel_filters: Filters = Field(default="pass", description="the same of the public panel's records.")
    min_gq: int = Field(default=0, ge=0, description="smallest genotype quality of a call; 0: not looked at.")
    min_dp: int = Field(default=0, ge=0, description="smallest read depth of a call; 0: not looked at.")
    dosages: Dosages = Field(
        default="refuse", description="records with DS or GP and no genotypes; round makes calls of those near one."
    )
    dask: str | None = Field(
        default=None,
        description="address of a Dask scheduler of this institution's, whose workers read and count; or local.",
    )
    fasta: Path | None = Field(
        default=None,
        description="the reference, with its .fai; as bcftools norm does, indels are moved left and MNPs split.",
    )
    sites: int = Field(default=1024, description="most common sites to keep.")
    min_maf: float = Field(default=0.01, description="smallest frequency in the panel.")

    @model_validator(mode="after")
    def _one_panel(self) -> Self:
        if (self.site_panel is None) == (not self.panel_vcf):
            missing = "the public panel is missing: give --panel-vcf or --site-panel"
            raise ValueError("give --panel-vcf or --site-panel, and not both" if self.panel_vcf else missing)
        settled = [name for name in _CHOOSING if name in self.model_fields_set]
        if self.site_panel is not None and settled:
            raise ValueError(f"--{settled[0].replace('_', '-')} is settled in the file of --site-panel: leave it out")
        return self

    @property
    def quality(self) -> QualityPolicy:
        """What the institution's records and calls must have."""
        return QualityPolicy(filters=self.filters, min_gq=self.min_gq, min_dp=self.min_dp, dosages=self.dosages)

    @property
    def keeps_everybody(self) -> bool:
        """Whether whoever is read is stored, under the name that --people gives, or all of it is refused."""
        return (self.duplicates, self.poorly_called) == ("refuse", "refuse") and self.relatives != "fold"

    @property
    def choice(self) -> SiteChoice:
        """Which sites of the panel these are."""
        return SiteChoice(
            self.sites, self.min_maf, self.exclude, self.panel_af_field, self.drawn_people, self.annotations,
            self.panel_filters, self.exclude_preset, self.fasta, self.regions,
        )  # fmt: skip
