"""The risk model's masters in use: how a round measures and moves them, and what they come to."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from afml.masking.focus import most_sites
from afml.masking.masters import Masters
from afml.masking.networks.features import PanelStatistics
from afml.masking.networks.risk import CURVATURE
from afml.masking.settings import RiskSettings
from afml.masking.weights import Accumulated
from afml.training.outer import Outer


class RiskSteps:
    """Of one run.

    Args:
        masters: Read and changed in place.
        risk: Traits, covariates, focus.
        statistics: Of the panel.
        rounds: Risk rounds of the run.
    """

    def __init__(self, masters: Masters, risk: RiskSettings, statistics: PanelStatistics, rounds: int) -> None:
        self._masters, self._risk, self._statistics, self._rounds = masters, risk, statistics, rounds

    @property
    def parameters(self) -> NDArray[np.float64]:
        """The risk model's parameters on this machine, flat: the masters in Newton steps."""
        return self._masters.risk * self._newton_steps

    @property
    def accumulated(self) -> Accumulated:
        """What the risk rounds say of the sites, without intercepts and covariates."""
        looks = self._masters.looks
        return Accumulated(self._of_sites(self.parameters), None if looks is None else looks.share)

    def measured(self, gradients: Outer) -> Outer:
        """What a round sends of people's gradients: along the sites that it measures, as much as it does."""
        if self._masters.looks is None:
            return gradients
        return Outer(gradients.left, gradients.right * torch.from_numpy(self.factors).to(gradients.right))

    def move(self, step: NDArray[np.float64]) -> None:
        """Move the masters by a step along what the round measured, flat."""
        looks = self._masters.looks
        if looks is not None:
            factors = self.factors
            step = (step.reshape(len(self._risk.declared), -1) * factors).ravel()
            self._masters.looks = looks.after(factors[: self._statistics.sites])
        self._masters.risk = self._masters.risk - step

    @property
    def factors(self) -> NDArray[np.float64]:
        """What the next round multiplies its inputs by, [inputs]; 1 for those that are no sites."""
        looks, factors = self._masters.looks, np.ones(self._inputs)
        if looks is None:
            return factors
        focus = self._risk.focus * len(self._risk.declared)
        most = most_sites(self._statistics.sites, focus, looks.rounds, self._rounds)
        factors[: self._statistics.sites] = looks.next(self._of_sites(self._masters.risk), most)
        return factors

    def _of_sites(self, risk: NDArray[np.float64]) -> NDArray[np.float64]:
        """Without intercepts and covariates, [traits, sites]."""
        return risk.reshape(len(self._risk.declared), self._inputs)[:, : self._statistics.sites]

    @property
    def _inputs(self) -> int:
        return self._statistics.sites + 1 + len(self._risk.covariates)

    @cached_property
    def _newton_steps(self) -> NDArray[np.float64]:
        """Length of a Newton step along each parameter per unit of the mean gradient."""
        curvature = np.repeat([CURVATURE[trait.kind] for trait in self._risk.declared], self._inputs)
        return np.asarray(1.0 / curvature / self._statistics.variance)
