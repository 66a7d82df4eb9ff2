"""How many alleles a call has where: two on autosomes, one on a male's X and Y outside the regions that pair, one on
MT.

One allele on X, Y or MT stands for the pair of it: dosage 0 or 2, so that a hemizygous carrier counts as a
homozygous one (as PLINK codes males, and as dosage compensation has it). Haploid calls on an autosome mean that
something upstream is wrong, and are refused; a lone `.` is a missing call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.assembly import is_pseudoautosomal

_MISSING, _ABSENT = -1, -2


class Ploidy(IntEnum):
    """What a call at a place must be."""

    AUTOSOME = 0
    PAIRED = 1  # pseudoautosomal, and contigs that are no chromosome
    X = 2
    Y = 3
    MT = 4


_SINGLE = {"X": Ploidy.X, "Y": Ploidy.Y, "MT": Ploidy.MT}


def ploidy_at(build: str | None, chrom: str, pos: int) -> Ploidy:
    """What calls at a place must be.

    Args:
        build: Of the genome, where it is known.
        chrom: Canonical contig name.
        pos: 1-based.
    """
    if chrom in ("X", "Y") and is_pseudoautosomal(build, chrom, pos):
        return Ploidy.PAIRED
    if chrom in _SINGLE:
        return _SINGLE[chrom]
    return Ploidy.AUTOSOME if chrom.isdigit() else Ploidy.PAIRED


def ploidies(build: str | None, chrom: Sequence[str], pos: NDArray[np.int64]) -> NDArray[np.uint8]:
    """`ploidy_at` of many places, uint8 [S]."""
    return np.array([ploidy_at(build, *place) for place in zip(chrom, pos.tolist(), strict=True)], dtype=np.uint8)


def paired(
    calls: NDArray[np.int8],
    ploidy: Ploidy,
    counts: Counter[str],
    hemizygous: NDArray[np.int64],
    where: tuple[Path, str],
) -> NDArray[np.int8]:
    """Calls of the site's ALT as pairs, both missing where one is.

    Args:
        calls: int8 [people, 2] in {0, 1, -1 missing, -2 absent}; changed in place.
        ploidy: What they must be.
        counts: Of calls, added to.
        hemizygous: int64 [people], haploid calls on X, added to.
        where: File and place, to blame.

    Raises:
        InputError: Haploid calls on an autosome.
    """
    first, second = calls[:, 0], calls[:, 1]
    haploid = (second == _ABSENT) & (first >= 0)
    number = int(haploid.sum())
    if number:
        if ploidy is Ploidy.AUTOSOME:
            path, place = where
            raise InputError(
                f"has {number} haploid calls at {place}, an autosome",
                where=path,
                cure="correct them (bcftools +fixploidy), or call these people again",
            )
        if ploidy is Ploidy.PAIRED:
            counts[told.HAPLOID] += number
            calls[haploid] = _MISSING
        else:
            counts[told.HEMIZYGOUS] += number
            second[haploid] = first[haploid]
            if ploidy is Ploidy.X:
                hemizygous += haploid
    half = ((first < 0) != (second < 0)) & (second != _ABSENT)
    counts[told.HALF] += int(half.sum())
    if ploidy is Ploidy.MT:
        two = (first >= 0) & (second >= 0) & (first != second)
        counts[told.HETEROPLASMIC] += int(two.sum())
        calls[two] = _MISSING
    calls[(first < 0) | (second < 0)] = _MISSING
    return calls
