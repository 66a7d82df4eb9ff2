"""The public side of a scan: the panel, and the directions of ancestry that one node computes for all."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError, IntegrityError
from afml.genomics.sites import SitePanel
from afml.tasks.gwas.panel import Ancestry, Centring
from afml.training.blob import dump, load

DIRECTIONS, SPREAD = "directions", "spread"


class PublicSide:
    """The panel of a scan.

    Args:
        sites: The agreed sites.
        dosage: The panel's people at them, int8 [panel people, sites].
        components: Directions of ancestry; where there are none, there is no public part to wait for.
    """

    def __init__(self, sites: SitePanel, dosage: NDArray[np.int8], components: int) -> None:
        self.sites, self.components, self._dosage = sites, components, dosage
        self.blob = b""
        """The public part as it was loaded; empty before."""
        self._ancestry: Ancestry | None = None if components else Ancestry.none(len(sites))

    def __len__(self) -> int:
        return len(self.sites)

    @property
    def there(self) -> bool:
        """Whether the directions are known."""
        return self._ancestry is not None

    @cached_property
    def centring(self) -> Centring:
        """How dosages are centred."""
        return Centring.of(self._dosage)

    @property
    def ancestry(self) -> Ancestry:
        """The panel's directions of ancestry.

        Raises:
            IntegrityError: They are not there yet.
        """
        if self._ancestry is None:
            raise IntegrityError("the public part of the scan is not there yet", where="scan")
        return self._ancestry

    @cached_property
    def genotypes(self) -> NDArray[np.float64]:
        """The panel's people, centred and without ancestry, [panel people, sites]."""
        return self.ancestry.removed(self.centring.standardised(self._dosage), self._dosage < 0)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Directions and the panel's spread along them; nothing before they are there."""
        found = self._ancestry
        return {} if found is None else {DIRECTIONS: found.directions, SPREAD: found.spread}

    def trained(self) -> bytes:
        """The panel's principal components, for `load`.

        Raises:
            ConfigError: The panel has not so many.
        """
        try:
            found = Ancestry.of(self.centring.standardised(self._dosage), self.components)
        except ValueError as error:
            raise ConfigError(str(error), where="scan", cure="have the coordinator set components lower") from None
        return dump({DIRECTIONS: found.directions, SPREAD: found.spread})

    def load(self, blob: bytes) -> None:
        """Take over the public part.

        Raises:
            IntegrityError: Not a public part of this scan.
        """
        known = {DIRECTIONS: self.components * len(self), SPREAD: self.components}
        found = load(blob, "public part of the scan", known)
        directions, spread = found.get(DIRECTIONS, np.zeros(0)), found.get(SPREAD, np.zeros(0))
        whole = directions.shape == (self.components, len(self)) and spread.shape == (self.components,)
        if not (whole and (spread > 0).all() and np.isfinite(spread).all() and np.isfinite(directions).all()):
            raise IntegrityError("the public part of the scan belongs to another run", cure="fetch it again")
        given = Ancestry(directions, spread)
        if not given.fits(self.centring.standardised(self._dosage)):  # one node's word, and everybody has the panel
            problem = "the public part holds what are no principal components of the public panel"
            raise IntegrityError(problem, where="scan", cure="find out which node made it, and leave it out")
        self.blob, self._ancestry = blob, given
        self.__dict__.pop("genotypes", None)
