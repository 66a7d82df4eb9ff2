"""What a federated evaluation is told: which model, about what outcome, in which bins."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from afml.core.config import FiniteSettings
from afml.tasks.evaluation.answers import Outcome, sigmoid


class EvaluationSettings(FiniteSettings):
    """Settings of the task `evaluation`.

    All of them shape what is added up, so they are declared before anybody's data is looked at.
    """

    model: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of the model, as `afml model show` prints it")
    outcome: Outcome = Field(description="binary, categorical or quantitative")
    target: str | None = Field(default=None, description="column that holds it; by default the only one")
    said: Literal["log-odds", "probability"] = Field(
        default="log-odds", description="binary: what the model's number is"
    )
    bins: int = Field(default=20, ge=2, le=1000, description="binary: bins of equal width between low and high")
    low: float = Field(
        default=-4.0,
        description="binary: log-odds up to which all is in the first bin; quantitative: least value of outcome and "
        "prediction on the outcome's declared scale",
    )
    high: float = Field(default=4.0, description="likewise, the last bin and the largest value")
    classes: int = Field(default=2, ge=2, le=256, description="categorical: how many there are")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if not math.isfinite(self.high - self.low):
            raise ValueError("low and high are too far apart to tell anything between them")
        return self

    @property
    def edges(self) -> NDArray[np.float64]:
        """Between the bins of a binary outcome, in log-odds, ascending, [bins - 1]."""
        return np.linspace(self.low, self.high, self.bins + 1)[1:-1]

    @property
    def middles(self) -> NDArray[np.float64]:
        """Probability in the middle of each bin, [bins]."""
        return sigmoid(self.low + (self.high - self.low) * (np.arange(self.bins) + 0.5) / self.bins)
