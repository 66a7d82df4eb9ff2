"""What a release uses of a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.masking.settings import RISK, RiskSettings


class ScoredModel(Protocol):
    """A public, trained model that scores records; the masking task's `TrainedModel` is one."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of the sites in the scores, [sites] or [scores, sites]; 0 where a site has no part."""

    @property
    def evidence(self) -> NDArray[Any]:
        """Associations in standard deviations of their noise, shaped as `weights`; empty where it is not known."""

    @property
    def noise(self) -> NDArray[Any]:
        """Of each association, as a correlation, shaped as `evidence`; empty where `card` has one of all sites."""

    @property
    def game(self) -> Sized:
        """Parameters of a Masking Network; empty where there is none."""

    @property
    def card(self) -> Mapping[str, Any]:
        """Facts that travel with the model.

        `draws` is the stem of its public draws; beside evidence, `noise` is that of each trait, as a correlation, and
        `trained_on` the number of people.
        """

    def risk_score(self, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """What a release is to keep of each record, [people] or [people, scores]."""

    def network_release(self, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """What a Masking Network keeps of each record, 0 elsewhere, [people, sites]; asked only where there is one."""

    def digest(self) -> str:
        """SHA-256 of the model, hex."""


def diseases(model: ScoredModel) -> int | None:
    """How many of a model's scores, the first ones, are of plain traits; None where its card does not say."""
    risk = model.card.get(RISK)
    return None if risk is None else len(RiskSettings(**risk).diseases)
