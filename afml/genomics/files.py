"""What the genotypes of a prepared institution are called on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GenotypeFiles:
    """Paths inside the folder that the genotypes data kind filled."""

    folder: Path

    @property
    def site_panel(self) -> Path:
        """The agreed sites."""
        return self.folder / "public" / "site_panel.json"

    @property
    def panel_store(self) -> Path:
        """Genotypes of the public panel at those sites."""
        return self.folder / "public" / "panel.zarr"

    @property
    def cohort_store(self) -> Path:
        """This institution's genotypes."""
        return self.folder / "private" / "cohort.zarr"

    @property
    def qc(self) -> Path:
        """What was found of these genotypes' quality; stays here."""
        return self.folder / "private" / "qc.json"

    @property
    def qc_page(self) -> Path:
        """The same for people to look at; stays here."""
        return self.folder / "private" / "qc.html"
