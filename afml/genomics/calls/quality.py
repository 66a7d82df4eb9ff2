"""Which records and calls are good enough: FILTER, FT, GQ, DP, and what is done with dosages without genotypes.

Nothing is ignored in silence: what a file says and these settings do not use is told by `afml prepare`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.genomics.calls import tally as told

Filters = Literal["pass", "any"]
Dosages = Literal["refuse", "round"]

ROUND_WITHIN = 0.1
"""A dosage DS becomes the nearest number of copies if it is at most this far off (PLINK's --hard-call-threshold)."""
DOSAGES = ("GP", "DS")
"""FORMAT fields that calls are made of where there are no genotypes."""
SUMS_WITHIN = 0.02
"""How far the GP of a person may be from adding up to 1, by rounding. VCF 4.2 has them phred-scaled instead."""
PROBABLE = 0.9
"""A genotype becomes a call if its probability GP is at least this."""


class QualityPolicy(Settings):
    """What a record or a call must have.

    Attributes:
        filters: `pass`: FILTER of the record and FT of the call must be PASS or absent; `any`: they are not looked
            at, but for several records of one site, of which those that pass win.
        min_gq: Smallest genotype quality (GQ, or RGQ of a reference call); 0 for none. A call without one fails.
        min_dp: Smallest read depth (DP; of a block, its MIN_DP); 0 for none. A call without one fails.
        dosages: What is done with a record that has DS or GP and no genotype: `round` makes calls of them.
    """

    filters: Filters = "pass"
    min_gq: int = 0
    min_dp: int = 0
    dosages: Dosages = "refuse"

    def takes(self, filters: Sequence[str]) -> bool:
        """Whether a record with these FILTER values is used."""
        return self.filters == "any" or not failed(filters)

    def remarks(self) -> tuple[str, ...]:
        """What was asked of records and calls, in lines."""
        filters = "FILTER and FT: PASS or none" if self.filters == "pass" else "FILTER and FT: any"
        gq = f"GQ >= {self.min_gq}" if self.min_gq else "GQ: not looked at"
        dp = f"DP >= {self.min_dp}" if self.min_dp else "DP: not looked at"
        dosages = "refused" if self.dosages == "refuse" else f"rounded within {ROUND_WITHIN:g}"
        return (
            f"quality: {filters} (--filters); {gq} (--min-gq); {dp} (--min-dp); "
            f"dosages without genotypes: {dosages} (--dosages)",
        )


class Numbers(Protocol):
    """The part of a record that tells of its calls' quality."""

    def numbers(self, field: str) -> NDArray[np.float32] | None:
        """[people, k] of a FORMAT field, NaN where missing; None where the record lacks it."""
        ...

    def texts(self, field: str) -> Sequence[str] | None:
        """[people] of a FORMAT field; None where the record lacks it."""
        ...


def failed(filters: Sequence[str]) -> bool:
    """Whether FILTER values say that a record, or FT that a call, did not pass."""
    return any(one not in ("PASS", ".", "") for one in filters)


def failing_calls(
    record: Numbers, policy: QualityPolicy, calls: NDArray[np.integer[Any]], counts: Counter[str]
) -> NDArray[np.bool_] | None:
    """Which calls of a record are not good enough, [people]; None where none fails.

    Args:
        record: It.
        policy: What is asked.
        calls: Its calls, [people, 2]; negative first alleles are no calls.
        counts: Of calls by why they fail, added to; a call that fails twice counts twice.
    """
    there: NDArray[np.bool_] = calls[:, 0] >= 0
    found: list[tuple[str, NDArray[np.bool_]]] = []
    if policy.filters == "pass" and (texts := record.texts("FT")) is not None:
        found.append((told.FT, np.array([failed(text.split(";")) for text in texts], dtype=np.bool_)))
    asked = (
        (("GQ", "RGQ"), policy.min_gq, (told.GQ_ASKED, told.NO_GQ, told.GQ)),
        (("MIN_DP", "DP"), policy.min_dp, (told.DP_ASKED, told.NO_DP, told.DP)),
    )
    for fields, least, (looked_at, none, low) in asked:
        if least:
            value = _first(record, fields, len(there))
            counts[looked_at] += int(there.sum())
            counts[none] += int((there & np.isnan(value)).sum())
            found.append((low, ~(value >= least)))  # NaN is below
    bad: NDArray[np.bool_] | None = None
    for name, failing in found:
        own = there & failing
        if own.any():
            counts[name] += int(own.sum())
            bad = own if bad is None else bad | own
    return bad


def _first(record: Numbers, fields: tuple[str, str], people: int) -> NDArray[np.float32]:
    """The first of some fields that states a number for each person, [people]; NaN where none does."""
    value = np.full(people, np.nan, dtype=np.float32)
    for field in fields:
        found = record.numbers(field)
        if found is not None:
            value = np.where(np.isnan(value), found[:, 0], value)
    return value


def rounded(record: Numbers, allele: int, alleles: int) -> NDArray[np.int8] | None:
    """Calls made of the dosages of one allele, int8 [people, 2]; None where the record has neither GP (of two
    alleles, probabilities of somebody) nor DS.

    GP first: the genotype whose probability is at least `PROBABLE`. Else, for people without three probabilities that
    add up to 1, DS: the nearest number of copies, if it is within `ROUND_WITHIN`. What is between is missing.

    Args:
        record: A record without genotypes.
        allele: Its number; of REF (0) they are those of the only ALT, the other way round.
        alleles: How many the record has.
    """
    if allele == 0:
        pairs = rounded(record, 1, alleles) if alleles == 2 else None
        return None if pairs is None else np.where(pairs < 0, pairs, 1 - pairs)
    copies: NDArray[Any] | None = None
    dosage = record.numbers("DS")
    if dosage is not None and dosage.shape[1] >= allele:
        given = dosage[:, allele - 1]
        nearest = np.rint(given)
        sure = (np.abs(given - nearest) <= ROUND_WITHIN + 1e-6) & (nearest >= 0) & (nearest <= 2)
        copies = np.where(sure, nearest, -1)
    chances = record.numbers("GP")
    if chances is not None and alleles == 2 and chances.shape[1] == 3:  # 0/0, 0/1, 1/1
        shares = (chances >= 0).all(axis=1) & (np.abs(chances.sum(axis=1) - 1) <= SUMS_WITHIN)
        if shares.any():
            of_best = np.where(chances.max(axis=1) >= PROBABLE, chances.argmax(axis=1), -1)
            copies = np.where(shares, of_best, -1 if copies is None else copies)
    return None if copies is None else _pairs(copies)


def _pairs(copies: NDArray[Any]) -> NDArray[np.int8]:
    """Calls of some number of copies each, -1 for missing."""
    pairs = np.stack([copies > 0, copies > 1], axis=1).astype(np.int8)
    pairs[copies < 0] = -1
    return pairs
