"""What is to be predicted, and which people train and which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Float64


@dataclass(frozen=True)
class Outcome:
    """Phenotype and split of the people under evaluation.

    Attributes:
        phenotype: int8[n] in {0, 1}; float64[n] of a quantitative trait; float64[n, S] of records to reconstruct.
        training: bool[n]; the others are held out.
        covariates: float64[n, C] to predict with beside genotypes; None for none.
    """

    phenotype: NDArray[np.int8] | Float64
    training: NDArray[np.bool_]
    covariates: Float64 | None = None

    @property
    def quantitative(self) -> bool:
        """Whether the phenotype is a number."""
        return self.phenotype.dtype.kind == "f"

    @property
    def reconstructs(self) -> bool:
        """Whether whole records are to be reconstructed and no trait is to be predicted."""
        return self.phenotype.ndim == 2

    @property
    def chance(self) -> float:
        """What predicting nothing reaches: AUC 0.5, or R^2 0."""
        return 0.0 if self.quantitative else 0.5

    def among(self, people: NDArray[np.bool_], training: NDArray[np.bool_]) -> Outcome:
        """Some people alone, split anew; `training` is over them."""
        return Outcome(self.phenotype[people], training, None if self.covariates is None else self.covariates[people])

    def of(self, rows: NDArray[np.int64] | slice) -> Outcome:
        """Some people alone, with the same split."""
        covariates = None if self.covariates is None else self.covariates[rows]
        return Outcome(self.phenotype[rows], self.training[rows], covariates)

    def __post_init__(self) -> None:
        if self.quantitative:
            if self.training.all() or not self.training.any():
                raise InputError("nobody trains or nobody is held out", cure="change the share held out")
            return
        for name, people in (("training", self.training), ("held-out", ~self.training)):
            if len(np.unique(self.phenotype[people])) < 2:
                raise InputError(
                    f"the {people.sum()} {name} people do not hold both cases and controls",
                    cure="enrol more people, or change the share held out",
                )


def outcomes(
    phenotype: NDArray[np.int8] | Float64, training: NDArray[np.bool_], covariates: Float64 | None = None
) -> tuple[Outcome, ...]:
    """One outcome per declared phenotype.

    Args:
        phenotype: int8[n] or int8[n, D] in {0, 1}; float64 of quantitative traits.
        training: bool[n].
        covariates: float64[n, C].
    """
    columns = phenotype.reshape(len(phenotype), -1)
    return tuple(Outcome(columns[:, d], training, covariates) for d in range(columns.shape[1]))
