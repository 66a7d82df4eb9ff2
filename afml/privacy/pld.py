"""The second opinion: dp-accounting's privacy loss distributions (Doroshenko et al. 2022).

An independent implementation with pessimistic rounding and both directions of adjacency. The ledger's verifier
uses the same library on its own and shares no code with this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from afml.privacy.events import Composition
from afml.privacy.profile import Floats

INTERVAL = 1e-4
"""Grid of the privacy loss."""
_MANY = 200
"""Epsilons that are looked up together."""


class Pld:
    """Privacy loss distributions on a grid of INTERVAL."""

    name = "PLD"

    def profile(self, composition: Composition, delta: float) -> PldProfile:
        """The same at every `delta`."""
        from dp_accounting import dp_event
        from dp_accounting.pld import PLDAccountant

        accountant = PLDAccountant(value_discretization_interval=INTERVAL)
        if composition.gaussian_mu > 0:
            accountant.compose(dp_event.GaussianDpEvent(1 / composition.gaussian_mu))
        for q, z, steps in composition.subsampled:
            step = dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(z))
            accountant.compose(dp_event.SelfComposedDpEvent(step, steps))
        return PldProfile(accountant)


ACCOUNTANT = Pld()


class PldProfile:
    """What a composed `PLDAccountant` says; it keeps its distributions to itself, so mean and sd are unknown."""

    accountant = Pld.name
    mean = None
    sd = None

    def __init__(self, composed: Any) -> None:
        self._composed = composed

    def delta(self, epsilon: ArrayLike) -> Floats:
        """See `Profile`."""
        flat = np.ravel(np.asarray(epsilon, dtype=np.float64))
        if flat.size < _MANY:
            found = np.array([self._composed.get_delta(float(value)) for value in flat], dtype=np.float64)
        else:  # one pass over the grid for all; wants them ascending
            order = np.argsort(flat, kind="stable")
            found = np.empty(flat.size)
            found[order] = self._composed.get_delta(flat[order].tolist())
        return found.reshape(np.shape(epsilon))

    def epsilon(self, delta: float) -> float:
        """See `Profile`."""
        return float(self._composed.get_epsilon(delta))

    def tail(self, loss: float) -> float:
        """See `Profile`. delta(loss - t) >= P(L >= loss) (1 - exp(-t)); the smallest bound over a few t."""
        steps = np.geomspace(0.01, 20.0, 64)
        return float(min(1.0, (self.delta(loss - steps) / -np.expm1(-steps)).min()))
