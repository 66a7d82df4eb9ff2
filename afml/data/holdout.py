"""Who is held out of training, to evaluate with: everybody is drawn alone, with a key that stays at the institution."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError


@dataclass(frozen=True)
class HoldoutDraw:
    """How people are held out.

    Attributes:
        share: Fraction of people, in [0, 1).
        seed: Simulation only: the draw becomes reproducible.

    Raises:
        InputError: `share` is none.
    """

    share: float
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"{self.share} is not a fraction in [0, 1)", where="--holdout", cure="for example 0.25")

    @property
    def simulated_key(self) -> bytes | None:
        """The key of a reproducible draw; None where the institution has one of its own."""
        return None if self.seed is None else f"holdout {self.seed}".encode()

    def enrolled(self, key: bytes, samples: Sequence[str]) -> NDArray[np.bool_]:
        """Who takes part in training, bool [people].

        Nobody's enrolment depends on who else is there, so preparing again enrols the same people.

        Args:
            key: Of the institution, or `simulated_key`.
            samples: Names of the people.
        """
        return np.array([_uniform(key, name) >= self.share for name in samples], dtype=np.bool_)


def _uniform(key: bytes, sample: str) -> float:
    """In [0, 1), from this person alone."""
    return int.from_bytes(hmac.digest(key, sample.encode(), "sha256")[:8], "big") / 2.0**64
