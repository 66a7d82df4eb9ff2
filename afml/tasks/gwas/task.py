"""The task of an association scan: two releases, and what becomes of them.

1. `cross`: sums of products of covariates, the panel's components and the trait. From them follow coefficients, equal at
   all nodes; a person's residual is what they leave of the trait.
2. `scores`: the sum over people of (bounded residual) x (genotype without ancestry), for every site, in a basis where
   linked sites share their noise; with two numbers that say what the residuals are like.

There is no sum without noise, at any node or anywhere else: an exact scan is not a setting.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.consortium.run import RunConfig
from afml.core.errors import ConfigError, IntegrityError
from afml.genomics.sites import SitePanel
from afml.tasks.gwas.facts import PublicFacts
from afml.tasks.gwas.files import write_results
from afml.tasks.gwas.panel import Ancestry, Centring
from afml.tasks.gwas.people import ScanPeople
from afml.tasks.gwas.regression import Fit, fitted, product_block, products
from afml.tasks.gwas.residual import bound_of, residuals
from afml.tasks.gwas.results import RESIDUALS, SITES, Released, Scan, scan_of
from afml.tasks.gwas.settings import CROSS, SCORES, GwasSettings
from afml.tasks.release.blocks import Block, Blocks
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import sum_std
from afml.tasks.release.task import ReleaseTask
from afml.training.blob import dump, load
from afml.training.model import run_card
from afml.training.task import Progress

PRODUCTS = "products"
#: Bound of the two numbers on residuals over that of the scores: it costs them half a hundredth of their noise.
_RESIDUALS_SHARE = 0.1
_DIRECTIONS, _SPREAD = "directions", "spread"
_LENGTH = 8  # bytes before a saved state that say how long the public part in it is


def vectors(settings: GwasSettings, sites: int) -> dict[str, Blocks]:
    """What a person contributes to each release, by phase name."""
    about = Block(
        RESIDUALS, (2,), _RESIDUALS_SHARE, centre=0.5, weight=_RESIDUALS_SHARE / math.sqrt(0.5), sure=True
    )
    return {
        CROSS: Blocks(product_block(settings), count_shortened=True),
        SCORES: Blocks(Block(SITES, (sites,), 1.0, sure=True), about),
    }


class GwasTask(ReleaseTask):
    """An association scan; see `afml.training.task.Task`.

    Args:
        run: The signed run configuration.
        settings: Its settings.
        sites: The agreed sites.
        dosage: The public panel's people at them, int8 [panel people, sites].
    """

    def __init__(self, run: RunConfig, settings: GwasSettings, sites: SitePanel, dosage: NDArray[np.int8]) -> None:
        super().__init__(run)
        self.settings, self.sites, self._dosage = settings, sites, dosage
        self._vectors = vectors(settings, len(sites))
        self._public = b""
        self._ancestry: Ancestry | None = None if settings.components else Ancestry.none(len(sites))

    def vector(self, phase: int) -> Blocks:
        """See `ReleaseTask.vector`."""
        return self._vectors[self.run.phases[phase].name]

    def values(self, phase: int, enrolled: ScanPeople, people: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """See `ReleaseTask.values`."""
        standardised = self.centring.standardised(enrolled.dosage(people))
        components = self.facts.ancestry.scores(standardised)
        explained = np.concatenate([enrolled.covariates[people], components], axis=1)
        trait = enrolled.trait[people]
        if self.run.phases[phase].name == CROSS:
            return {PRODUCTS: products(self.settings, explained, trait)}
        left = residuals(self.settings, self.fit, explained, trait) / self.bound
        bounded = np.clip(left, -1.0, 1.0)
        about = np.stack([np.square(bounded), (np.abs(left) <= 1.0).astype(np.float64)], axis=1)
        return {SITES: self.facts.directions(standardised) * bounded[:, None], RESIDUALS: about}

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """See `Task.apply`."""
        super().apply(phase, total, people)
        self._forget()

    @cached_property
    def fit(self) -> Fit:
        """What explains the trait, from the first release alone.

        Raises:
            IntegrityError: It is not there yet.
        """
        if 0 not in self._sums:
            raise IntegrityError("there is no sum of the first release to go on from", where=f"run {self.run.run}")
        found = self.estimates(0)[PRODUCTS]
        return fitted(self.settings, found.sum, found.people, float(found.std[0]))

    @property
    def bound(self) -> float:
        """tau: residuals that are larger count as this large, on the trait's scale; public numbers only enter."""
        std = sum_std(self.run, 1)
        noise = std**2 * len(self.sites) / sum(self.run.enrolled.values())
        return bound_of(self.settings, self.fit, noise)

    # -- the public part: directions of ancestry ----------------------------------------------------------

    @cached_property
    def centring(self) -> Centring:
        """How dosages are centred."""
        return Centring.of(self._dosage)

    @cached_property
    def facts(self) -> PublicFacts:
        """What is known of public people.

        Raises:
            IntegrityError: The public part is not there yet.
        """
        if self._ancestry is None:
            raise IntegrityError("the public part of the scan is not there yet", where=f"run {self.run.run}")
        return PublicFacts(self.sites, self._dosage, self.centring, self._ancestry, self.settings.block_sites)

    @property
    def has_public_part(self) -> bool:
        """See `Task.has_public_part`."""
        return self._ancestry is not None

    def train_public(self, progress: Progress | None = None) -> bytes:
        """The panel's principal components.

        Raises:
            ConfigError: The panel has not so many.
        """
        try:
            found = Ancestry.of(self.centring.standardised(self._dosage), self.settings.components)
        except ValueError as error:
            raise ConfigError(str(error), where=f"run {self.run.run}", cure="ask for fewer components") from None
        return dump({_DIRECTIONS: found.directions, _SPREAD: found.spread})

    def load_public(self, blob: bytes) -> None:
        """See `Task.load_public`."""
        if not self.settings.components:
            super().load_public(blob)
            return
        count, sites = self.settings.components, len(self.sites)
        found = load(blob, "public part of the scan", {_DIRECTIONS: count * sites, _SPREAD: count})
        directions, spread = found.get(_DIRECTIONS, np.zeros(0)), found.get(_SPREAD, np.zeros(0))
        whole = directions.shape == (count, sites) and spread.shape == (count,) and bool((spread > 0).all())
        if not whole or not np.isfinite(directions).all():
            raise IntegrityError("the public part of the scan belongs to another run", cure="fetch it again")
        self._public, self._ancestry = blob, Ancestry(directions, spread)
        self._forget()

    # -- state --------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """The public part, its length before it, and the sums that are there."""
        return len(self._public).to_bytes(_LENGTH, "big") + self._public + super().state()

    def load_state(self, blob: bytes) -> None:
        """See `Task.load_state`."""
        end = _LENGTH + int.from_bytes(blob[:_LENGTH], "big")
        if len(blob) <= end:
            raise IntegrityError("the saved state of the scan is cut off", cure="remove it and catch up")
        super().load_state(blob[end:])
        if end > _LENGTH:
            self.load_public(blob[_LENGTH:end])
        self._forget()

    def digest(self) -> bytes:
        """See `Task.digest`."""
        digest = hashlib.sha256(super().digest())
        if self._ancestry is not None:
            for array in (self._ancestry.directions, self._ancestry.spread):
                digest.update(array.astype("<f8").tobytes())
        return digest.digest()

    def model(self) -> ReleaseModel:
        """Sums in the basis of the release, coefficients and ancestry; result files beside them once all is there."""
        card: dict[str, Any] = run_card(self.run) | {"complete": self.complete}
        if self.sites.drawn_note:
            card["panel"] = self.sites.drawn_note
        arrays: dict[str, NDArray[np.float64]] = {}
        if self._ancestry is not None:
            arrays |= {_DIRECTIONS: self._ancestry.directions, _SPREAD: self._ancestry.spread}
        for phase in range(len(self.run.phases) if self.complete else 0):
            arrays |= {f"sum_{name}": found.sum for name, found in self.estimates(phase).items()}
        if not self.complete:
            return ReleaseModel(arrays, card)
        arrays["coefficients"] = np.array(self.fit.coefficients)
        card |= {"people": self.people(1), "residual": self.fit.residual, "residual_bound": self.bound}
        return ReleaseModel(arrays, card, lambda folder: write_results(self.scan(), folder))

    def scan(self) -> Scan:
        """What the releases say of every site.

        Raises:
            IntegrityError: They are not all there.
        """
        if not self.complete:
            raise IntegrityError("the scan is not over: a release is missing", where=f"run {self.run.run}")
        return scan_of(self.run, self.facts, Released(self.settings, self.fit, self.bound, self.estimates(1)))

    def _forget(self) -> None:
        """Forget what was made of sums and public part as they were."""
        for name in ("fit", "facts"):
            self.__dict__.pop(name, None)
