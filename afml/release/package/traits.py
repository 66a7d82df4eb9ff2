"""Traits that are released beside the records: which ones, in which bins, and who is alike in all of them.

They are an explicit choice of the institution. Whoever knows somebody's traits looks for the person among the records
that show them alone, so a group is of people who share the pattern *and* every released trait. What protects a
person's traits themselves is not k: `told_for_certain` counts those whose pattern gives a trait away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import ConfigError
from afml.data.columns import Trait
from afml.data.people import PersonColumns, format_number
from afml.masking.settings import RiskSettings

PHENOTYPES_FILE = "phenotypes.tsv"
OPTION = "--phenotype"
#: Where the usual three bins of a number begin, in declared spreads about the declared centre: a third of a normal
#: distribution is below the first edge, and a third above the second.
USUAL_EDGES = (-0.43, 0.43)


@dataclass(frozen=True)
class ReleasedTrait:
    """A trait as a package tells it.

    Attributes:
        trait: As the run declares it.
        edges: Where each bin but the first begins, ascending, in the trait's units; empty of a binary one.
    """

    trait: Trait
    edges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Heads its column; no blank is in it, which plink2 would take for the end of a column."""
        return self.trait.name.replace(" ", "_")

    @property
    def told(self) -> tuple[float, ...]:
        """What stands for each class: 0 and 1, or a bin's middle; of an open one, half a spread past its edge."""
        if not self.edges:
            return (0.0, 1.0)
        half = self.trait.spread / 2
        middles = [(low + high) / 2 for low, high in pairwise(self.edges)]
        return tuple(float(f"{value:.6g}") for value in (self.edges[0] - half, *middles, self.edges[-1] + half))

    def classes(self, people: PersonColumns, where: Path) -> NDArray[np.int64]:
        """Everybody's class, int64 [people].

        Raises:
            InputError: Not everybody has a value, or one of a binary trait is neither 0 nor 1.
        """
        values = people.column(self.trait.name, where=where)
        self.trait.require_coded(values, where=where)
        return np.searchsorted(self.edges, values, side="right").astype(np.int64) if self.edges else values.astype(int)


def released_traits(words: Sequence[str], risk: RiskSettings) -> tuple[ReleasedTrait, ...]:
    """The traits that somebody asks for.

    Args:
        words: NAME, or NAME=EDGE,EDGE for bins of a quantitative one.
        risk: What the run declares: no other trait is released.

    Raises:
        ConfigError: A trait is not declared, named twice, or its edges are none.
    """
    known, found = {one.name: one for one in risk.diseases}, dict[str, ReleasedTrait]()
    for given in words:
        name, _, rest = given.partition("=")
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"the run declares no trait '{name}'", where=OPTION, cure=f"its traits are: {there}")
        one = ReleasedTrait(known[name], _edges(known[name], rest))
        if one.name in found:
            raise ConfigError(f"'{name}' is asked for twice", where=OPTION, cure="name each trait once")
        if sum(other.name.replace(" ", "_") == one.name for other in risk.declared) > 1:
            problem = f"another trait of the run is called '{one.name}' too, blanks apart"
            raise ConfigError(problem, where=OPTION, cure="release a trait with a name of its own")
        found[one.name] = one
    return tuple(found.values())


def _edges(trait: Trait, text: str) -> tuple[float, ...]:
    if trait.kind == "binary":
        if text:
            raise ConfigError(f"'{trait.name}' is binary and has no bins", where=OPTION, cure="leave out the edges")
        return ()
    if not text:
        return tuple(trait.centre + edge * trait.spread for edge in USUAL_EDGES)
    try:
        edges = tuple(float(edge) for edge in text.split(","))
    except ValueError:
        edges = ()
    if not edges or not np.isfinite(edges).all() or any(low >= high for low, high in pairwise(edges)):
        cure = f"give ascending numbers, {OPTION} '{trait.name}=160,175'"
        raise ConfigError(f"'{text}' are no edges of bins of '{trait.name}'", where=OPTION, cure=cure)
    return edges


@dataclass(frozen=True, eq=False)
class TraitsOfPeople:
    """What a package tells of everybody's traits.

    Attributes:
        traits: Which ones.
        classes: int64 [people, traits].
    """

    traits: tuple[ReleasedTrait, ...]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, traits: tuple[ReleasedTrait, ...], people: PersonColumns, where: Path) -> TraitsOfPeople:
        """Those of an institution's people.

        Args:
            traits: Which ones.
            people: Theirs.
            where: The file to blame.

        Raises:
            InputError: As `ReleasedTrait.classes`.
        """
        columns = [one.classes(people, where) for one in traits]
        none = np.zeros((len(people.values), 0), np.int64)
        return cls(traits, np.stack(columns, axis=1) if columns else none)

    def alike(self) -> NDArray[np.int64]:
        """Number of the combination of classes that each person has, int64 [people]; 0 for all without a trait."""
        return np.unique(self.classes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def words(self) -> list[str]:
        """What phenotypes.tsv says of each person, tabs between the traits; "" without a trait."""
        return ["\t".join(map(format_number, row)) for row in self.told().tolist()]

    def rows(self, people: NDArray[np.int64]) -> TraitsOfPeople:
        """Those of some people."""
        return TraitsOfPeople(self.traits, self.classes[people])

    def told(self) -> NDArray[np.float64]:
        """What the table says, float64 [people, traits]."""
        columns = [np.array(one.told)[self.classes[:, at]] for at, one in enumerate(self.traits)]
        return np.stack(columns, axis=1) if columns else np.zeros(self.classes.shape)

    def table(self, names: Sequence[str]) -> str:
        """phenotypes.tsv: `#IID` and a column for each trait, in the order of the records."""
        head = "\t".join(("#IID", *(one.name for one in self.traits)))
        return "\n".join([head, *(f"{name}\t{told}" for name, told in zip(names, self.words(), strict=True))]) + "\n"


def shown_label(pattern: int, traits: str) -> str:
    """What a package tells of a record, in a word: the ledger counts who can be told from whom by it.

    Args:
        pattern: That it shows.
        traits: What phenotypes.tsv says of it; "" where there is none.
    """
    return f"{pattern}\t{traits}" if traits else str(pattern)


def told_for_certain(patterns: NDArray[np.int64], classes: NDArray[np.int64]) -> float:
    """Share of people whose pattern is shown by people of one class of a trait alone: whoever knows what such a person
    shows knows the class, without knowing which record is the person's.

    Args:
        patterns: Number of each person's, [people].
        classes: Of one trait, [people].
    """
    pairs = np.unique(np.stack([patterns, classes], axis=1), axis=0)
    kinds = np.bincount(pairs[:, 0], minlength=int(patterns.max(initial=0)) + 1)
    return float((kinds[patterns] == 1).mean())
