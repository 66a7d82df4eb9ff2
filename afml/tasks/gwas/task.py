"""The task of an association scan: its releases, and what becomes of them.

1. `cross`: sums of products of covariates, the panel's components and the trait. From them follow coefficients, equal
   at all nodes; a person's residual is what they leave of the trait.
2. `scores`: the sum over people of (bounded residual) x (genotype without ancestry), for every site, in a basis where
   linked sites share their noise; with two numbers that say what the residuals are like.
3. `follow`: the same for the sites whose scores were strongest. A person's vector is then short and its noise small:
   what is hidden among ten thousand sites stands out of two hundred. Which sites, follows from noised sums and public
   data alone, and costs nothing.

No sum leaves a node without noise, and no file or verb holds one: an exact scan is not a setting.
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
from afml.core.errors import IntegrityError
from afml.genomics.sites import SitePanel
from afml.tasks.gwas.basis import block_cuts
from afml.tasks.gwas.facts import ScoredSites
from afml.tasks.gwas.files import write_results
from afml.tasks.gwas.people import ScanPeople
from afml.tasks.gwas.public import PublicSide
from afml.tasks.gwas.regression import Fit, fitted, product_block, products
from afml.tasks.gwas.residual import bound_of, residuals
from afml.tasks.gwas.results import RESIDUALS, SITES, Public, Released, Scan, scan_of
from afml.tasks.gwas.settings import CROSS, FOLLOW, SCORES, GwasSettings
from afml.tasks.release.blocks import Block, Blocks
from afml.tasks.release.model import ReleaseModel
from afml.tasks.release.plan import sum_std
from afml.tasks.release.task import ReleaseTask
from afml.training.model import run_card
from afml.training.task import Progress

PRODUCTS = "products"
#: Bound of the two numbers on residuals over that of the scores: it costs them half a hundredth of their noise.
_RESIDUALS_SHARE = 0.1
_LENGTH = 8  # bytes before a saved state that say how long the public part in it is


def vectors(settings: GwasSettings, sites: int) -> dict[str, Blocks]:
    """What a person contributes to each release, by phase name, in order."""
    about = Block(RESIDUALS, (2,), _RESIDUALS_SHARE, centre=0.5, weight=_RESIDUALS_SHARE / math.sqrt(0.5), sure=True)
    found = {
        CROSS: Blocks(product_block(settings), count_shortened=True),
        SCORES: Blocks(Block(SITES, (sites,), 1.0, sure=True), about),
    }
    if again := settings.follows(sites):
        found[FOLLOW] = Blocks(Block(SITES, (again,), 1.0, sure=True), about)
    return found


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
        self.settings, self.public = settings, PublicSide(sites, dosage, settings.components)
        self._vectors = vectors(settings, len(sites))
        self._scored: dict[int, ScoredSites] = {}
        self._chosen: NDArray[np.int64] | None = None

    def vector(self, phase: int) -> Blocks:
        """See `ReleaseTask.vector`."""
        return self._vectors[self.run.phases[phase].name]

    def values(self, phase: int, enrolled: ScanPeople, people: NDArray[np.int64]) -> Mapping[str, NDArray[np.float64]]:
        """See `ReleaseTask.values`."""
        dosage = enrolled.dosage(people)
        standardised = self.public.centring.standardised(dosage)
        explained = np.concatenate([enrolled.covariates[people], self.public.ancestry.scores(standardised)], axis=1)
        trait = enrolled.trait[people]
        if phase == 0:
            return {PRODUCTS: products(self.settings, explained, trait)}
        left = residuals(self.settings, self.fit, explained, trait) / self.bound(phase)
        bounded = np.clip(left, -1.0, 1.0)
        about = np.stack([np.square(bounded), (np.abs(left) <= 1.0).astype(np.float64)], axis=1)
        genotypes = self.public.ancestry.removed(standardised, dosage < 0)[:, self.columns(phase)]
        return {SITES: self.scored(phase).directions(genotypes) * bounded[:, None], RESIDUALS: about}

    def apply(self, phase: int, total: NDArray[np.float64], people: int) -> None:
        """See `Task.apply`."""
        super().apply(phase, total, people)
        if phase == 0:
            self.__dict__.pop("fit", None)
        elif phase == 1:
            self._chosen = None
            self._scored.pop(2, None)

    @cached_property
    def fit(self) -> Fit:
        """What explains the trait, from the first release alone; before it is there, nothing does."""
        found = self.estimates(0)[PRODUCTS]
        return fitted(self.settings, found.sum, found.people, float(found.std[0]))

    def bound(self, phase: int) -> float:
        """tau of a release: residuals that are larger count as this large, on the trait's scale.

        Public numbers only enter, the same at every node.
        """
        noise = sum_std(self.run, phase) ** 2 * self._count(phase) / sum(self.run.enrolled.values())
        return bound_of(self.settings, self.fit, noise)

    def _count(self, phase: int) -> int:
        return len(self.public.sites) if phase == 1 else self.settings.follows(len(self.public.sites))

    def columns(self, phase: int) -> NDArray[np.int64]:
        """Sites of a release, ascending: all, or those whose scores in the release before were strongest.

        Scores come of linear algebra, whose last bits differ between machines. That two nodes choose other sites for it
        takes two scores that are equal to a part in 10^13, where the choice ends; the digest after the release covers
        the choice, so that nodes find out before the next one.
        """
        if phase == 1:
            return np.arange(len(self.public.sites))
        if self._chosen is None:
            scored, sums = self.scored(1), self.estimates(1)[SITES].deviations
            strength = np.abs(scored.basis.backward(sums)) / np.sqrt(scored.basis.variance)
            self._chosen = np.sort(np.argsort(-strength, kind="stable")[: self._count(2)])
        return self._chosen

    def scored(self, phase: int) -> ScoredSites:
        """The sites of a release as the panel sees them."""
        if phase not in self._scored:
            columns = self.columns(phase)
            # Sites of people who are drawn from frequencies are not linked: each is a block of its own.
            most = 1 if self.public.sites.drawn_people else self.settings.block_sites
            cuts = block_cuts([self.public.sites.chrom[site] for site in columns], self.public.sites.pos[columns], most)
            genotypes = self.public.genotypes if phase == 1 else self.public.genotypes[:, columns]
            self._scored[phase] = ScoredSites(genotypes, cuts, self.settings.components)
        return self._scored[phase]

    @property
    def has_public_part(self) -> bool:
        """See `Task.has_public_part`."""
        return self.public.there

    def train_public(self, progress: Progress | None = None) -> bytes:
        """The panel's principal components; see `Task.train_public`."""
        return self.public.trained()

    def load_public(self, blob: bytes) -> None:
        """See `Task.load_public`."""
        if not self.settings.components:
            super().load_public(blob)
            return
        self.public.load(blob)
        self._forget()

    # -- state --------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """The public part, its length before it, and the sums that are there."""
        public = self.public.blob
        return len(public).to_bytes(_LENGTH, "big") + public + super().state()

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
        for array in self.public.arrays().values():
            digest.update(array.astype("<f8").tobytes())
        if self.public.there and 1 in self._sums and len(self.run.phases) > 2:
            digest.update(self.columns(2).astype("<i8").tobytes())
        return digest.digest()

    def model(self) -> ReleaseModel:
        """Sums in the basis of the release, coefficients and ancestry; result files beside them once all is there."""
        card: dict[str, Any] = run_card(self.run) | {"complete": self.complete}
        if self.public.sites.drawn_note:
            card["panel"] = self.public.sites.drawn_note
        arrays = self.public.arrays()
        if not self.complete:
            return ReleaseModel(arrays, card)
        for phase, planned in enumerate(self.run.phases):
            arrays |= {f"{planned.name}_{block}": found.sum for block, found in self.estimates(phase).items()}
            if phase:
                arrays[f"{planned.name}_columns"] = self.columns(phase).astype(np.float64)
        arrays["coefficients"] = np.array(self.fit.coefficients)
        bounds = [self.bound(phase) for phase in range(1, len(self.run.phases))]
        card |= {"people": self.people(1), "residual": self.fit.residual, "residual_bounds": bounds}
        return ReleaseModel(arrays, card, lambda folder: write_results(self.scan(), folder))

    def scan(self) -> Scan:
        """What the releases say of every site.

        Raises:
            IntegrityError: They are not all there.
        """
        if not self.complete:
            raise IntegrityError("the scan is not over: a release is missing", where=f"run {self.run.run}")
        phases = range(1, len(self.run.phases))
        found = [
            Released(self.columns(phase), self.scored(phase), self.bound(phase), self.estimates(phase))
            for phase in phases
        ]
        public = Public(self.public.sites, self.public.centring.scale, self.public.genotypes)
        return scan_of(self.run, self.settings, public, found)

    def _forget(self) -> None:
        """Forget what was made of sums and public part as they were."""
        self._chosen = None
        self._scored.clear()
        self.__dict__.pop("fit", None)
