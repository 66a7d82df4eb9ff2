"""What an evaluation is given: the people of every institution, raw and released, and what is public."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks import ReleaseFunction
from afml.evaluation.attacks.base import Float64, Int8
from afml.evaluation.attributes import Known
from afml.evaluation.groups import Labels
from afml.evaluation.limits import LIMITS, Limits


@dataclass(frozen=True, eq=False)
class Institution:
    """One institution's people, rows aligned (the released file's column permutation undone).

    Attributes:
        dosage: int8[n, S], raw.
        phenotype: int8[n] in {0, 1}, or int8[n, D] for D phenotypes; D may be 0 where there are traits.
        enrolled: bool[n], took part in training; the others are held out.
        released: int8[n, S], -1 = './.'.
        traits: float64[n, Q], quantitative traits, where there are any.
        covariates: float64[n, C], known beside genotypes and never released, where there are any.
        told: int64[n], the combination of traits that the release tells of each beside the record, where it tells some;
            equal numbers are equal traits at all institutions.
    """

    dosage: Int8
    phenotype: NDArray[np.int8]
    enrolled: NDArray[np.bool_]
    released: Int8
    traits: Float64 | None = None
    covariates: Float64 | None = None
    told: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        people = len(self.dosage)
        if self.released.shape != self.dosage.shape or {len(self.phenotype), len(self.enrolled)} != {people}:
            raise InputError(
                f"{people} genotyped, {len(self.phenotype)} phenotyped, {len(self.enrolled)} listed and "
                f"{len(self.released)} released people do not match",
                cure="evaluate a release against the store it was made from",
            )


class Records(Protocol):
    """Released records of one file, by row: held whole, or as patterns and who shows which."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | NDArray[np.int64], /) -> Int8: ...


@dataclass(frozen=True, eq=False)
class OtherRelease:
    """Another release of the same people, listed among the baselines.

    Attributes:
        name: As in the table.
        mask: Its public release function.
        released: Those of each institution, where they differ from `mask(dosage)` (grouped by file, say).
    """

    name: str
    mask: ReleaseFunction
    released: tuple[Records, ...] | None = None


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """All that an evaluation needs.

    Attributes:
        institutions: In node order.
        panel: int8[p, S], the public panel.
        mask: The public release function of the release under test.
        risk_weights: float64[S], weights of the DP risk model per dosage (per standardised dosage / scale); [D, S]
            for several phenotypes, in their order, quantitative traits last.
        others: Further releases to list.
        fill: What a masked site shows.
        grouped: Whether a minimum group size was asked for; the report then holds the smallest group found.
        genotype_error: Error rate of reference profiles (and share of calls missing).
        seed: Of simulated reference profiles, random masks and the trained identifier.
        train_identifier: Whether to train the identification network against the release (ten seconds or so).
        population: Candidates over the private people, at which RR is measured again, e.g. (1, 10, 100).
        asked_people: People whose genotypes are inferred.
        asked_sites: Sites at which; None for those that the release shows most and as many others.
        names: Of the phenotypes, then of the traits; () where they have none (several are then numbered).
        limits: What is looked at in full up to which size.
        components: int8[n, S] -> float64[n, components], public: what a release without any trait should keep. The
            utility is then that of `reconstruction`, and `risk_weights` are the components' loadings.
        told: int8[n, S] released -> float64[n, scores], public: what records say by the codebook table beside them,
            where recipients train on that; None where they train on dosages.
        labels: Groups of people (of ancestry, say) that RR and membership are reported for; by default clusters of
            genotypes.
        second: A second release of the same people, attacked together with this one.
        attributes: Classes of everybody that a release may tell, or may not: what it tells of them is measured.
    """

    institutions: tuple[Institution, ...]
    panel: Int8
    mask: ReleaseFunction
    risk_weights: Float64
    others: tuple[OtherRelease, ...] = ()
    fill: Literal["major", "missing"] = "major"
    grouped: bool = True
    genotype_error: float = 0.01
    seed: int = 0
    train_identifier: bool = True
    population: tuple[int, ...] = (1, 10)
    asked_people: int = 400
    asked_sites: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    limits: Limits = LIMITS
    components: Callable[[Int8], Float64] | None = None
    told: Callable[[Int8], Float64] | None = None
    labels: Labels | None = None
    second: OtherRelease | None = None
    attributes: tuple[Known, ...] = ()


def taken(files: Sequence[Records], rows: NDArray[np.int64] | slice) -> list[Int8]:
    """int8[rows of it, S] of every file, rows being numbered over all of them, in ascending order."""
    ends = np.cumsum([len(file) for file in files])
    if isinstance(rows, slice):
        rows = np.arange(int(ends[-1]))[rows]
    own = np.split(rows, np.searchsorted(rows, ends[:-1]))
    return [file[some - (int(end) - len(file))] for file, some, end in zip(files, own, ends, strict=True)]


def stacked(arrays: Sequence[Int8]) -> Int8:
    """int8[n, S], one below the other; views of one array, one after the other, are that array and are not copied."""
    whole = arrays[0].base
    if isinstance(whole, np.ndarray) and whole.ndim == 2 and all(_rows_of(whole, one) for one in arrays):
        starts = [_first_row(whole, one) for one in arrays]
        ends = [start + len(one) for start, one in zip(starts, arrays, strict=True)]
        if starts[1:] == ends[:-1]:
            return np.asarray(whole[starts[0] : ends[-1]], dtype=np.int8)
    return np.concatenate(arrays)


def _rows_of(whole: NDArray[Any], one: Int8) -> bool:
    same = one.base is whole and one.dtype == whole.dtype == np.int8 and one.shape[1:] == whole.shape[1:]
    return bool(same and one.flags.c_contiguous and whole.flags.c_contiguous and whole.shape[1])


def _first_row(whole: NDArray[Any], one: Int8) -> int:
    offset = int(one.__array_interface__["data"][0]) - int(whole.__array_interface__["data"][0])
    return offset // int(whole.shape[1])
