"""From records to calls at the panel's sites: what every stored genotype has gone through.

A record is taken in this order: which sites it speaks of (`alleles`), FILTER, its calls' quality (`quality`), and how
many alleles they have (`ploidy`). Where several records speak of one site, `believed` decides, whatever their order
and whichever process read them:

* a record of the panel's ALT before one that only covers the place, and one that passes FILTER before one that does
  not;
* records of the same rank complete each other: where two have a call and these differ, it is missing, and counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.align import Aligner
from afml.genomics.calls.alleles import Match, Matcher, table_of
from afml.genomics.calls.ploidy import Ploidy, paired, ploidies
from afml.genomics.calls.quality import Numbers, QualityPolicy, failed, failing_calls, rounded
from afml.genomics.calls.states import State
from afml.genomics.calls.tally import Tally
from afml.genomics.sites import SitePanel

Row = tuple[int, NDArray[np.int8], int]
"""(site, calls int8 [people, 2], rank) of one record."""

_FAILED = {State.MATCHED: State.MATCHED_FAILED, State.COVERED: State.COVERED_FAILED}


class Taken(Numbers, Protocol):
    """A record, as far as it is looked at here; see `afml.genomics.sources.record`."""

    chrom: str
    pos: int
    alleles: tuple[str, ...]
    where: Path

    @property
    def end(self) -> int:
        """Last base that the record speaks of."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters that it failed."""
        ...

    def calls(self) -> NDArray[np.int16]:
        """Allele numbers [people, 2]; -1 is missing, -2 the absent second allele of a haploid call."""
        ...


@dataclass(frozen=True)
class Rules:
    """By what a record's calls are taken.

    Attributes:
        policy: What records and calls must have.
        build: Of the genome, where it is known: which parts of X and Y pair.
        aligner: The reference, where there is one.
    """

    policy: QualityPolicy = field(default_factory=QualityPolicy)
    build: str | None = None
    aligner: Aligner | None = None


class SiteCalls:
    """Takes records one by one, in any order, and gives rows of calls for the store.

    Args:
        panel: The site panel.
        people: How many a record has calls of.
        rules: By what they are taken.
    """

    def __init__(self, panel: SitePanel, people: int, rules: Rules) -> None:
        self._matcher, self._rules = Matcher(panel, rules.aligner), rules
        self._ploidy = ploidies(rules.build, panel.chrom, panel.pos).tolist()
        self._tally = Tally.empty(len(panel), people)

    def tally(self) -> Tally:
        """What was met so far."""
        return self._tally

    def take(self, record: Taken) -> list[Row]:
        """What a record says.

        Args:
            record: It.

        Returns:
            Of each site that it speaks of: the site, calls int8 [people, 2] (1 the site's ALT, 0 any other allele, -1
            missing), and their rank, for `believed`.

        Raises:
            InputError: The record has no calls, or some that cannot be.
        """
        tally = self._tally
        tally.counts[told.RECORDS] += 1
        alleles = record.alleles
        symbolic = len(alleles) == 1 or any(one[0] == "<" for one in alleles)
        found = self._matcher.matches(record.chrom, record.pos, alleles, record.end if symbolic else record.pos)
        if not found:
            return []
        tally.counts[told.MATCHED] += any(match.meaning for match in found)
        used: list[tuple[Match, State]] = []
        passes: bool | None = None
        for match in found:
            state = match.state
            if match.meaning:
                if passes is None:
                    passes = not failed(record.filters)
                    tally.counts[told.FAILED] += not passes
                state = self._state(match, passes)
            if state.called and state >= tally.states[match.site]:
                used.append((match, state))
            elif state > tally.states[match.site]:
                tally.states[match.site] = state
        return self._calls(record, used) if used else []

    def _state(self, match: Match, passes: bool) -> State:
        if passes:
            return match.state
        return _FAILED[match.state] if self._rules.policy.filters == "any" else State.FAILED_FILTER

    def _calls(self, record: Taken, used: list[tuple[Match, State]]) -> list[Row]:
        calls = _genotypes(record)
        if calls is None:
            return self._dosages(record, used)
        bad = failing_calls(record, self._rules.policy, calls[:, 0] >= 0, self._tally.counts)
        given = []
        for match, state in used:
            own = calls.astype(np.int8) if match.meaning == (0, 1) else table_of(match.meaning)[calls]
            given.append(self._row(record, match, state, own, bad))
        return given

    def _row(
        self, record: Taken, match: Match, state: State, own: NDArray[np.int8], bad: NDArray[np.bool_] | None
    ) -> Row:
        if bad is not None:
            own[bad] = -1
        tally, ploidy = self._tally, Ploidy(self._ploidy[match.site])
        if (own.size and own.min() < 0) or ploidy is Ploidy.MT:
            paired(own, ploidy, tally.counts, tally.hemizygous, (record.where, f"{record.chrom}:{record.pos}"))
        if state > tally.states[match.site]:
            tally.states[match.site] = state
            tally.swapped[match.site] = match.swapped
        return match.site, own, int(state)

    def _dosages(self, record: Taken, used: list[tuple[Match, State]]) -> list[Row]:
        """What a record without genotypes says by its dosages."""
        counts, given = self._tally.counts, []
        for match, state in used:
            pairs = None
            if self._ploidy[match.site] <= Ploidy.PAIRED and match.meaning.count(1) == 1:
                pairs = rounded(record, match.meaning.index(1), len(record.alleles))
            if pairs is None or self._rules.policy.dosages == "refuse":
                self._tally.states[match.site] = max(self._tally.states[match.site], State.NO_GENOTYPES)
                continue
            counts[told.BETWEEN] += int((pairs[:, 0] < 0).sum())
            given.append(self._row(record, match, state, pairs, None))
        return given


def _genotypes(record: Taken) -> NDArray[np.int16] | None:
    """The calls of a record, [people, 2]; None where it has dosages alone.

    Raises:
        InputError: It has neither, or calls that cannot be.
    """
    try:
        calls = record.calls()
    except InputError:
        if record.texts("GT") is None and (record.numbers("DS") is not None or record.numbers("GP") is not None):
            return None
        raise
    if calls.shape[1] == 1:
        calls = np.concatenate([calls, np.full_like(calls, -2)], axis=1)
    if calls.size and calls[0, 0] < 0 and int(calls.max()) < 0 and record.numbers("DS") is not None:
        return None
    return calls


def believed(ranks: NDArray[np.integer[Any]], calls: NDArray[np.int8], counts: Counter[str]) -> NDArray[np.int8]:
    """Calls of one site of which several records speak.

    Args:
        ranks: [rows], as `SiteCalls.take` gave them.
        calls: int8 [rows, people, 2] in {0, 1, -1}, both of a pair missing or none.
        counts: Added to.

    Returns:
        int8 [people, 2]: of the rows of the highest rank, the call that those agree on who have one.
    """
    best = calls[ranks == ranks.max()]
    counts[told.REPEATED] += len(calls) - 1
    there = best[:, :, 0] >= 0  # [rows, people]
    copies = best.sum(axis=2)
    most = np.where(there, copies, -1).max(axis=0)
    least = np.where(there, copies, 3).min(axis=0)
    differ = there.any(axis=0) & (most != least)
    counts[told.DISAGREE] += int(differ.sum())
    found: NDArray[np.int8] = np.take_along_axis(best, there.argmax(axis=0)[None, :, None], axis=0)[0]
    found[differ] = -1
    return found
