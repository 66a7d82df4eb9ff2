"""The people a node trains on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError


@dataclass(frozen=True)
class Cohort:
    """The enrolled people of one node.

    Attributes:
        dosage: int8 in {0, 1, 2, -1}, [people, sites].
        phenotype: int8 in {0, 1}, [people] or [people, phenotypes].
    """

    dosage: NDArray[np.int8]
    phenotype: NDArray[np.int8]

    def __post_init__(self) -> None:
        if len(self.dosage) != len(self.phenotype):
            raise InputError(
                f"{len(self.dosage)} people have genotypes and {len(self.phenotype)} have a phenotype",
                cure="enrol only people with both",
            )

    def __len__(self) -> int:
        return len(self.dosage)

    def __repr__(self) -> str:
        return f"Cohort({len(self)} people)"

    @property
    def phenotypes(self) -> int:
        """How many phenotypes each person has."""
        return 1 if self.phenotype.ndim == 1 else self.phenotype.shape[1]
