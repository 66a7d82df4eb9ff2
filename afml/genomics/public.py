"""The public panel as a run means it: the agreed sites, and the public people's genotypes at them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium.card import DataAgreement
from afml.core.errors import ConfigError
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore


def people_digest(dosage: NDArray[np.int8]) -> str:
    """SHA-256, hex, of the public people's genotypes.

    Args:
        dosage: Theirs at the agreed sites, int8 [panel people, sites]; the order of people counts, names do not.
    """
    digest = hashlib.sha256(f"AFML public people {dosage.shape[0]} {dosage.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(dosage, np.int8).data)
    return digest.hexdigest()


def agreed_panel(public: Path, agreed: DataAgreement) -> tuple[SitePanel, NDArray[np.int8]]:
    """What an institution keeps of the public panel, if it is that of the run.

    Args:
        public: What everybody may see of the prepared data (`Prepared.public`).
        agreed: What the run's data have in common.

    Returns:
        The sites, and the public people's dosages at them, int8 [panel people, sites].

    Raises:
        ConfigError: The sites or the people are others.
    """
    files = GenotypeFiles(public.parent)
    panel, dosage = SitePanel.load(files.site_panel), GenotypeStore.open(files.panel_store).dosage()
    cure = "run `afml prepare` as the consortium agreed"
    if panel.digest() != agreed.fingerprint:
        raise ConfigError("site panel differs from the run's", where=files.site_panel, cure=cure)
    if agreed.panel and people_digest(dosage) != agreed.panel:
        raise ConfigError("people of the public panel differ from the run's", where=files.panel_store, cure=cure)
    return panel, dosage
