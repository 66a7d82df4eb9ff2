"""What an attacker knows, what an attacker sees, and what an attack is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.distinct import distinct, distinct_if_few

Int8 = NDArray[np.int8]
Float64 = NDArray[np.float64]
ReleaseFunction = Callable[[Int8], Int8]
"""Dosage int8[n, S], -1 = no call -> released dosage int8[n, S], -1 = './.'."""

MASKED = -1
"""'./.': a masked genotype under fill 'missing', a missing call in a reference profile."""

CELLS_AT_ONCE = 1 << 25
"""Genotypes for which random numbers are in memory at once."""


def row_blocks(dosage: Int8) -> Iterator[slice]:
    """Slices over the rows, of at most `CELLS_AT_ONCE` genotypes each."""
    step = max(1, CELLS_AT_ONCE // max(1, dosage.shape[1]))
    for start in range(0, len(dosage), step):
        yield slice(start, min(start + step, len(dosage)))


def reference_profiles(
    dosage: Int8, frequencies: Float64, *, error: float, missing: float, rng: np.random.Generator
) -> Int8:
    """Genotype the same people again, independently.

    Args:
        dosage: int8[m, S], -1 where the first genotyping has no call.
        frequencies: float64[S, 3], genotype frequencies that uncalled genotypes are drawn from.
        error: Probability that a call is one of the two other genotypes.
        missing: Probability that there is no call.
        rng: Source of randomness; the experiment's, not a secret.

    Returns:
        int8[m, S], -1 where there is no call.
    """
    profiles = np.empty_like(dosage)
    upper = frequencies.cumsum(axis=1)[:, :2]
    for part in row_blocks(dosage):
        profile = dosage[part].copy()
        holes = np.nonzero(profile < 0)
        profile[holes] = (rng.random((len(holes[0]), 1)) > upper[holes[1]]).sum(axis=1)
        fate = rng.random(profile.shape, dtype=np.float32)
        other = rng.integers(1, 3, size=profile.shape, dtype=np.int8)
        profile = np.where(fate < error, (profile + other) % 3, profile)
        profiles[part] = np.where(fate >= 1 - missing, MASKED, profile)
    return profiles


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What everybody knows: the public panel, the public release function, the error rate of genotyping.

    Attributes:
        panel: int8[p, S], dosages of the public panel.
        mask: The public release function. It may be randomised; the attacker then draws masks of their own.
        fill: What a masked site shows: 0 ("major") or './.' ("missing").
        genotype_error: Error rate of a reference profile.
        reference_missing: Share of a reference profile without a call.
        shared: Where reference profiles are of a descendant of each candidate: probability that the two share an
            allele by descent at a site (child 1, grandchild 1/2, ...); None: they are the candidates' own.
    """

    panel: Int8
    mask: ReleaseFunction
    fill: Literal["major", "missing"] = "major"
    genotype_error: float = 0.01
    reference_missing: float = 0.01
    shared: float | None = None

    @cached_property
    def complete_panel(self) -> Int8:
        """int8[p, S]: the panel, its missing calls replaced by the commonest genotype of the site."""
        return self.complete(self.panel)

    @cached_property
    def released_panel(self) -> Int8:
        """int8[p, S]: the panel as the public model would release it."""
        return self.mask(self.complete_panel)

    @cached_property
    def frequencies(self) -> Float64:
        """float64[S, 3]: genotype frequencies on the panel, one pseudo-person spread over the three."""
        counts = np.stack([(self.panel == g).sum(axis=0) for g in range(3)], axis=1) + 1 / 3
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    @cached_property
    def given_reference(self) -> Float64:
        """float64[S, 4, 3]: P(true genotype g | reference call r), r in (no call, 0, 1, 2)."""
        e = self.genotype_error
        called = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)  # P(call | genotype), symmetric
        joint = called[None] * self.frequencies[:, None, :]  # [S, call, genotype]
        posterior = joint / joint.sum(axis=2, keepdims=True)
        if self.shared is not None:
            posterior = posterior @ self._given_relative(self.shared)
        return np.concatenate([self.frequencies[:, None, :], posterior], axis=1)

    def _given_relative(self, shared: float) -> Float64:
        """float64[S, 3, 3]: P(genotype | a descendant's genotype), after Li and Sacks (1954)."""
        minor = self.frequencies @ np.arange(3) / 2
        other = np.stack([1 - minor, minor], axis=1)  # the allele that is not the shared one: anybody's
        one = np.zeros((len(minor), 2, 3))  # P(genotype | the shared allele)
        one[:, 0, :2], one[:, 1, 1:] = other, other
        by_descent = np.stack([one[:, 0], one.mean(axis=1), one[:, 1]], axis=1)
        return np.asarray(shared * by_descent + (1 - shared) * self.frequencies[:, None, :])

    @cached_property
    def channel(self) -> Float64:
        """float64[S, 3, 4]: P(released value o | true genotype g), o in ('./.', 0, 1, 2), from the panel.

        Counts of the released panel, shrunk with the weight of one person towards the average over sites.
        Outcomes never seen keep a floor of 1e-6, so that no candidate is excluded for good.
        """
        shape = (self.panel.shape[1], 3, 4)
        counts = np.zeros(shape)
        for g in range(3):
            for o in range(4):
                counts[:, g, o] = ((self.complete_panel == g) & (self.released_panel == o - 1)).sum(axis=0)
        pooled = (counts.sum(axis=0) + 1e-3) / (counts.sum(axis=(0, 2))[:, None] + 4e-3)
        table = (counts + pooled) / (counts.sum(axis=2, keepdims=True) + 1)
        if self.fill == "major":
            table[:, :, 0] = 1.0  # a missing call of the institution, not a mask: says nothing
        return np.asarray(np.maximum(table, 1e-6))

    def complete(self, dosage: Int8) -> Int8:
        """Replace missing calls by the commonest genotype of the site on the panel."""
        commonest = self.frequencies.argmax(axis=1).astype(np.int8)
        complete = dosage.copy()
        for part in row_blocks(complete):
            np.copyto(complete[part], commonest, where=complete[part] < 0)
        return complete


@dataclass(frozen=True, eq=False)
class Case:
    """A released file under attack.

    Attributes:
        released: int8[n, S], the records, -1 = './.'.
        references: int8[m, S], the candidates' reference profiles, -1 = no call.
        truth: int64[n], the candidate each record is of, -1 where that person is not among the candidates.
            For scoring; no attack may read it for guessing.
        knowledge: What is public.
        known_masks: `masks` where somebody has computed them already.
        file: int64[m], the file (0, 1, ...) whose people each candidate is one of, equal ones side by side; None
            where nobody asks what knowing the file is worth.
        traits: int64[m], the combination of released traits (0, 1, ...) that each candidate has, where the release
            tells of every record which one its person has; None where it tells no trait.
    """

    released: Int8
    references: Int8
    truth: NDArray[np.int64]
    knowledge: Knowledge
    known_masks: tuple[Int8, NDArray[np.int64]] | None = None
    file: NDArray[np.int64] | None = None
    traits: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        sites = self.knowledge.panel.shape[1]
        shapes = {"released": self.released.shape, "references": self.references.shape}
        for name, shape in shapes.items():
            if len(shape) != 2 or shape[1] != sites:
                raise InputError(f"{name} has shape {shape}, the panel has {sites} sites", cure="use one site panel")
        if self.truth.shape != (len(self.released),) or (
            len(self.truth) and not -1 <= self.truth.min() <= self.truth.max() < len(self.references)
        ):
            raise InputError("every record needs the index of its candidate", cure="align truth with the references")
        if self.traits is not None and self.traits.shape != (len(self.references),):
            raise InputError("every candidate needs the traits that are told", cure="give them for all or for none")

    @cached_property
    def masks(self) -> tuple[Int8, NDArray[np.int64]]:
        """What the public model would release for the candidates' reference profiles.

        (int8[g, S] distinct ones, int64[m] which of them each candidate's is); all of them, in order, where most are
        distinct.
        """
        if self.known_masks is not None:
            return self.known_masks
        masked = self.knowledge.mask(self.knowledge.complete(self.references))
        found = distinct_if_few(masked, (len(masked) - 1) // 4)
        return found or (masked, np.arange(len(masked)))

    @cached_property
    def patterns(self) -> tuple[Int8, NDArray[np.int64]]:
        """(int8[u, S] distinct released records, int64[n] the one each record shows)."""
        return distinct(self.released)

    @cached_property
    def runs(self) -> tuple[tuple[int, slice], ...]:
        """(file, its candidates), one after the other."""
        if self.file is None or not len(self.file):
            return ((0, slice(0, len(self.references))),)
        starts = np.flatnonzero(np.diff(self.file, prepend=self.file[0] - 1))
        ends = np.append(starts[1:], len(self.file))
        return tuple((int(self.file[a]), slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True))

    @property
    def files(self) -> int:
        """How many files the candidates are of, as far as anybody asks."""
        return 1 + max(file for file, _ in self.runs)

    @cached_property
    def by_candidate(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(int64[n] records in the order of their candidates, int64[n] those candidates)."""
        order = np.argsort(self.truth, kind="stable")
        return order, self.truth[order]

    def records_of(self, part: slice) -> NDArray[np.int64]:
        """The records of these candidates."""
        order, candidates = self.by_candidate
        return order[slice(*np.searchsorted(candidates, (part.start, part.stop)))]

    def sample(self, records: NDArray[np.int64]) -> Case:
        """The case of some records alone, among the same candidates; no mask is computed twice."""
        known = self.__dict__.get("masks", self.known_masks)
        return replace(self, released=self.released[records], truth=self.truth[records], known_masks=known)

    def restricted(self, records: NDArray[np.int64], candidates: NDArray[np.int64]) -> Case:
        """The case of an attacker who knows that `records` are of `candidates`; no mask is computed twice."""
        position = np.full(len(self.references), -1, dtype=np.int64)
        position[candidates] = np.arange(len(candidates))
        rows, index = self.masks
        return Case(
            self.released[records], self.references[candidates], position[self.truth[records]], self.knowledge,
            (rows, index[candidates]), traits=None if self.traits is None else self.traits[candidates],
        )  # fmt: skip


class Attack(Protocol):
    """A way to link released records to candidates.

    Attributes:
        name: In reports.
    """

    name: str

    def success(self, case: Case) -> Float64:
        """float64[n]: probability that the best guess is right, per record; ties are split evenly."""
        ...


class AttackKind(Protocol):
    """What `ATTACKS` lists: a class of attacks and what it says of itself.

    Attributes:
        name: Of its attacks, and in `ATTACKS`.
        guess: Which candidate it names, in words for the reader of a report.
        baseline: Whether every baseline is attacked by it too; not worth its time where it must first be trained.
    """

    name: str
    guess: str
    baseline: bool

    def seeded(self, seed: int) -> Attack:
        """The attack as a report runs it; the same for the same seed."""
        ...
