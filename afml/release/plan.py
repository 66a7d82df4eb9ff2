"""The plan of a release: all that is needed to mask a file, made from the panel and the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.release.method import METHODS
from afml.release.model import ScoredModel, diseases
from afml.release.patterns import Codebook
from afml.release.trial import Trial

#: A release whose expected correlation with every trait is below this is at chance.
LEAST_CORRELATION = 0.03


@dataclass(frozen=True)
class ReleasePlan:
    """All that is needed to mask a file. Public: made from the panel and the DP-trained model only.

    Attributes:
        model: The trained model.
        method: How patterns are found and taken.
        codebook: The patterns.
        min_group_size: k of every released file.
        fill: What a masked genotype becomes: "major" (0, homozygous panel-major) or "missing" (-1).
        reason: Why this method, in words.
        trials: The comparison on held-out panel people.
        expected: Correlation of each trait with what recipients will predict of people they did not learn from, in
            [0, 1]; empty where the noise of the scores is not known.
        verified: (patterns, re-identification rate) of each attacked plan, the accepted one last.
    """

    model: ScoredModel
    method: str
    codebook: Codebook
    min_group_size: int
    fill: Literal["major", "missing"]
    reason: str
    trials: tuple[Trial, ...] = ()
    verified: tuple[tuple[int, float], ...] = ()
    expected: tuple[float, ...] = ()

    @property
    def at_chance(self) -> str:
        """Why this release is not worth making, in words; empty where it is.

        Judged by the diseases alone, which come first: a release is not made for the classes that it may tell beside.
        """
        expected = max(self.expected[: diseases(self.model)], default=LEAST_CORRELATION)
        if expected >= LEAST_CORRELATION:
            return ""
        told = f"a correlation of {expected:.3f} with a trait" if expected else "nothing of a trait"
        return f"not worth releasing: recipients could expect {told}, which is no better than chance"

    @property
    def masked(self) -> int:
        """What a masked genotype looks like."""
        return 0 if self.fill == "major" else -1

    def contained(self, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the pattern of each person may be taken from, [people, sites]."""
        return METHODS.get(self.method).contained(self.model, dosage)

    def points(self, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """What centroids are compared with, [people] or [people, scores]."""
        return METHODS.get(self.method).points(self.model, self.codebook, dosage)

    def pattern_of(self, released: NDArray[np.int8]) -> NDArray[np.int64]:
        """Number of the pattern that each released record shows, [people]; -1 where it shows none of them.

        Args:
            released: Records as they lie in a file, [people, sites].
        """
        index: dict[bytes, int] = {}
        for number, row in enumerate(self.codebook.shown(self.masked)):
            index.setdefault(row.tobytes(), number)
        return np.array([index.get(record.tobytes(), -1) for record in released], dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the model (its digest stands for it)."""
        return {
            "model": self.model.digest(),
            "method": self.method,
            "sites": self.codebook.sites,
            "patterns": [[list(genotype) for genotype in pattern] for pattern in self.codebook.patterns],
            "centroids": self.codebook.centroids.tolist(),
            "scale": self.codebook.scale.tolist(),
            "min_group_size": self.min_group_size,
            "fill": self.fill,
            "reason": self.reason,
            "trials": [vars(trial) for trial in self.trials],
            "verified": [list(attempt) for attempt in self.verified],
            "expected": list(self.expected),
        }

    @classmethod
    def from_dict(cls, model: ScoredModel, stored: dict[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: The plan was made for another model, or by a method that there is not.
        """
        if stored["model"] != model.digest():
            raise ConfigError("the release plan was made for another model", cure="plan the release again")
        patterns = tuple(tuple((int(s), int(v)) for s, v in pattern) for pattern in stored["patterns"])
        centroids = np.array(stored["centroids"], dtype=np.float64).reshape(len(patterns), -1)
        scale = np.array(stored.get("scale", [1.0]), dtype=np.float64)  # plans of before there was one have none
        return cls(
            model=model,
            method=METHODS.get(stored["method"], where="release plan").name,
            codebook=Codebook(stored["sites"], patterns, centroids, scale),
            min_group_size=stored["min_group_size"],
            fill=stored["fill"],
            reason=stored["reason"],
            trials=tuple(Trial(**trial | {"expected": tuple(trial.get("expected", ()))}) for trial in stored["trials"]),
            verified=tuple((int(patterns), float(rr)) for patterns, rr in stored["verified"]),
            expected=tuple(stored.get("expected", ())),
        )
