"""Release methods: where the patterns of a release come from, and what a person may take of them.

All methods share one form, a codebook whose patterns a record must contain. A new one is a module with an object
of this form, and one line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.core.registry import Registry
from afml.release.model import ScoredModel
from afml.release.patterns import Codebook

AUTO = "auto"
"""Compare the methods that say so of themselves, and take the best."""

MOSAICS = 4000
"""People that the usual methods learn on, beside the panel."""

MANY_PATTERNS = 200
"""More patterns than this are the business of methods that are made for `many`, and of no others."""


class ReleaseMethod(Protocol):
    """A way to find patterns.

    Attributes:
        name: In settings, plans and headers of released files.
        title: In tables, beside other releases.
        compared: Whether "auto" may choose it; a mere baseline must be asked for by name.
        fills: Fills of a release in which its patterns can be told apart.
        many: Whether "auto" compares it where more than `MANY_PATTERNS` are asked for; the others where fewer are.
        tabled: Whether recipients train on what the table beside the release says of patterns, and not on dosages.
    """

    name: str
    title: str
    compared: bool
    fills: tuple[str, ...] = ("missing", "major")
    many: bool = False
    tabled: bool = False

    def lacking(self, model: ScoredModel) -> str | None:
        """Why it cannot be used with this model, in words; None where it can."""
        return None

    def mosaics(self, patterns: int) -> int:
        """Made-up people beside the panel that so many patterns are learned on."""
        return MOSAICS

    def contained(self, model: ScoredModel, dosage: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the patterns of each person may be taken from, [people, sites]: genotypes of the record, or 0."""
        return dosage

    def points(self, model: ScoredModel, codebook: Codebook, dosage: NDArray[np.int8]) -> NDArray[np.float64]:
        """What a codebook's centroids are compared with, [people] or [people, scores]: the risk scores."""
        return model.risk_score(dosage)

    def learn(
        self, model: ScoredModel, people: NDArray[np.int8], contained: NDArray[np.int8], patterns: int, share: float
    ) -> Codebook:
        """Learn patterns on public people.

        Args:
            model: The trained model.
            people: Panel people and mosaics of them, [people, sites].
            contained: What `contained` says of them.
            patterns: J, at most; the empty pattern is one of them.
            share: Smallest share of people that a pattern must attract.

        Returns:
            A codebook that depends on the arguments alone.
        """
        ...


METHODS: Registry[ReleaseMethod] = Registry(
    "release method",
    {
        "codebook": "afml.release.codebook:METHOD",
        "greedy": "afml.release.greedy:METHOD",
        "network": "afml.release.network:METHOD",
        "cells": "afml.release.cells:METHOD",
        "static": "afml.release.static:METHOD",
        "levels": "afml.release.levels:METHOD",
    },
)


def require_method(name: str, *, where: object = "") -> None:
    """Refuse a name before it is signed into a run.

    Raises:
        ConfigError: No method is called so.
    """
    if name != AUTO and name not in METHODS:
        known = ", ".join((AUTO, *METHODS.names()))
        raise ConfigError(f"there is no release method called {name!r}", where=where, cure=f"use one of {known}")


def every_method(model: ScoredModel) -> tuple[ReleaseMethod, ...]:
    """All methods that a model can be used with, in the order of `METHODS`."""
    return tuple(one for one in map(METHODS.get, METHODS.names()) if one.lacking(model) is None)


def asked_for(
    name: str, model: ScoredModel, patterns: int = 1, fill: str = "missing", without: Collection[str] = ()
) -> tuple[ReleaseMethod, ...]:
    """The methods to choose from: the one of this name, or for "auto" all that are compared at so many patterns, but
    for those `without`.

    Raises:
        ConfigError: There is no such method, the model lacks what it needs, or the fill does not go with it.
    """
    usable = every_method(model)
    if name == AUTO:
        many = patterns > MANY_PATTERNS
        compared = tuple(method for method in usable if method.compared and method.many == many)
        found = tuple(method for method in compared if method.name not in without)
    else:
        found = (METHODS.get(name),)
        lacking = found[0].lacking(model)
        if lacking is not None:
            raise ConfigError(lacking, cure=f"use release method {usable[0].name!r}")
    if not any(fill in method.fills for method in found):
        raise ConfigError(
            f"release method {found[0].name!r} does not go with fill {fill!r}",
            cure=f"use `afml mask --fill missing`, or --patterns {MANY_PATTERNS} at most and another --method",
        )
    return tuple(method for method in found if fill in method.fills)
