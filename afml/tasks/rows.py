"""The people of an institution with their rows, as a module takes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from afml.data.source import FeatureSource


@dataclass(frozen=True, eq=False)
class RowsOfPeople:
    """Some people of an institution with their rows.

    Attributes:
        source: Features and targets.
        places: Places of the people in the source, [people].
    """

    source: FeatureSource
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def digest(self) -> str:
        """See `Enrolled.digest`."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.source.digest().encode() + self.places.astype("<i8").tobytes()).hexdigest()

    @property
    def most_rows(self) -> int:
        """Of one person."""
        return int(self.source.row_counts[self.places].max(initial=0))

    def rows(self, people: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.int64]]:
        """(features [rows, *shape], targets [rows, T], person of each row in [0, people)), person by person."""
        places = self.places[people]
        rows = self.source.rows_of(places)
        owner = np.repeat(np.arange(len(people)), self.source.row_counts[places])
        features, targets = np.array(self.source.features[rows]), np.array(self.source.targets[rows])
        return torch.from_numpy(features), torch.from_numpy(targets), owner
