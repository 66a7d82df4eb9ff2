"""What an audit attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.data.prepared import Prepared
from afml.genomics.files import GenotypeFiles
from afml.genomics.sites import SitePanel
from afml.genomics.store import GenotypeStore
from afml.masking.enrolled import Enrolled
from afml.masking.kind import MASKING


@dataclass(frozen=True)
class Subject:
    """A masking run and the people it trains on.

    Attributes:
        config: The run.
        panel: Its sites.
        panel_dosage: Dosages of the public panel, [panel people, sites].
        enrolled: Node -> its enrolled people. Absent nodes hold nobody and send noise.
    """

    config: RunConfig
    panel: SitePanel
    panel_dosage: NDArray[np.int8] = field(repr=False)
    enrolled: Mapping[int, Enrolled] = field(default_factory=dict, repr=False)


def open_subject(config: RunConfig, prepared: Mapping[int, Prepared]) -> Subject:
    """The run over prepared folders, whose people it pools in this process.

    Args:
        config: The run.
        prepared: Node -> its prepared data.

    Raises:
        InputError: A folder lacks what the run declares.
        ConfigError: The data are not those of the run.
    """
    files = GenotypeFiles(next(iter(prepared.values())).folder)
    enrolled = {node: MASKING.enrolled(config, folder) for node, folder in prepared.items()}
    return Subject(config, SitePanel.load(files.site_panel), GenotypeStore.open(files.panel_store).dosage(), enrolled)
