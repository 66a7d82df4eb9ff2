"""From records to calls at the panel's sites: what every stored genotype has gone through.

A record is taken in this order: which sites it speaks of (`alleles`), FILTER, its calls' quality (`quality`), and how
many alleles they have (`ploidy`). Where several records speak of one site, `believed` decides, whatever their order
and whichever process read them:

* a record of the panel's ALT before one of the other strand, that before one that only covers the place, and one that
  passes FILTER before one that does not;
* records of the same rank complete each other: where two have a call and these differ, it is missing, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from afml.genomics.calls import tally as told
from afml.genomics.calls.align import Aligner
from afml.genomics.calls.alleles import NEARBY, Match, Matcher, table_of
from afml.genomics.calls.ploidy import Ploidy, paired, ploidies
from afml.genomics.calls.quality import DOSAGES, Numbers, QualityPolicy, failed, failing_calls, rounded
from afml.genomics.calls.states import State
from afml.genomics.calls.tally import Tally
from afml.genomics.sites import SitePanel
from afml.genomics.sources.record import NoGenotypes

Given = tuple[int, NDArray[np.int8]]
"""A site and its calls, int8 [people, 2]."""

_CALLED, _MT = State.COVERED_FAILED, Ploidy.MT  # names of an enumeration are slow to look up
_FAILED = {
    State.MATCHED: State.MATCHED_FAILED,
    State.FLIPPED: State.FLIPPED_FAILED,
    State.COVERED: State.COVERED_FAILED,
}


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
        fasta: The reference sequence, where there is one.
    """

    policy: QualityPolicy = field(default_factory=QualityPolicy)
    build: str | None = None
    fasta: Path | None = None

    def margin(self, panel: SitePanel) -> int:
        """Bases around a site of the panel in which a record may speak of it, or nearly do."""
        indels = any(len(ref) != len(alt) for ref, alt in zip(panel.ref, panel.alt, strict=True))
        return NEARBY if indels else 0


class SiteCalls:
    """Takes records one by one, in any order, and gives calls for the store.

    Args:
        panel: The site panel.
        people: How many a record has calls of.
        rules: By what they are taken.
        stored: The calls that were given for a site before, int8 [people, 2]; asked for where a second record speaks
            of it.

    Attributes:
        tally: What was met so far.
    """

    def __init__(self, panel: SitePanel, people: int, rules: Rules, stored: Callable[[int], NDArray[np.int8]]) -> None:
        # Opened here: each process that reads a part has a place of its own in the file.
        aligner = None if rules.fasta is None else Aligner(rules.fasta)
        self._matcher, self._rules, self._stored = Matcher(panel, aligner), rules, stored
        self._ploidy = [Ploidy(one) for one in ploidies(rules.build, panel.chrom, panel.pos).tolist()]
        self.tally = Tally.empty(len(panel), people)
        self._states = self.tally.states.data  # the same bytes: reading one of them is faster here

    def take(self, record: Taken) -> list[Given]:
        """What a record says.

        Args:
            record: It.

        Returns:
            (site, calls int8 [people, 2]: 1 the site's ALT, 0 any other allele, -1 missing) pairs, each of which
            replaces what was given for the site before.

        Raises:
            InputError: The record has no calls, or some that cannot be.
        """
        tally = self.tally
        tally.counts[told.RECORDS] += 1
        alleles = record.alleles
        symbolic = len(alleles) == 1 or alleles[1][0] == "<" or (len(alleles) > 2 and "<" in "".join(alleles))
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
                if not passes and match.state is not State.COVERED:
                    tally.failed[match.site] = True
            known = self._states[match.site]
            if state >= _CALLED and state >= known:
                used.append((match, state))
            elif state > known:
                self._states[match.site] = state
        return self._calls(record, used) if used else []

    def _state(self, match: Match, passes: bool) -> State:
        if passes:
            return match.state
        return _FAILED[match.state] if self._rules.policy.filters == "any" else State.FAILED_FILTER

    def _calls(self, record: Taken, used: list[tuple[Match, State]]) -> list[Given]:
        calls = _genotypes(record)
        if calls is None:
            return self._dosages(record, used)
        bad = failing_calls(record, self._rules.policy, calls, self.tally.counts)
        given = []
        for match, state in used:
            own = calls.astype(np.int8) if match.meaning == (0, 1) else table_of(match.meaning)[calls]
            if -1 in match.meaning:
                unknown = ((own == -1) & (calls >= 0)).any(axis=1)
                self.tally.counts[told.OPEN] += int(unknown.sum())
                own[unknown] = -1
            given.append(self._row(record, match, state, own, bad))
        return given

    def _row(
        self, record: Taken, match: Match, state: State, own: NDArray[np.int8], bad: NDArray[np.bool_] | None
    ) -> Given:
        if bad is not None:
            own[bad] = -1
        tally, ploidy = self.tally, self._ploidy[match.site]
        if (own.size and own.min() < 0) or ploidy is _MT:
            paired(own, ploidy, tally.counts, tally.hemizygous, (record.where, f"{record.chrom}:{record.pos}"))
        if state == self._states[match.site]:
            return match.site, self._again(match.site, own)
        tally.disputed.pop(match.site, None)
        self._states[match.site] = state
        tally.swapped[match.site] = match.swapped
        return match.site, own

    def _again(self, site: int, own: NDArray[np.int8]) -> NDArray[np.int8]:
        """Calls of a site of which a record of the same rank has spoken before."""
        self.tally.counts[told.REPEATED] += 1
        found, differ = _agreed(np.stack([self._stored(site), own]))
        self.tally.counts[told.DISAGREE] += int(differ.sum())
        disputed = differ | self.tally.disputed.get(site, False)
        if disputed.any():
            self.tally.disputed[site] = disputed
            found[disputed] = -1
        return found

    def _dosages(self, record: Taken, used: list[tuple[Match, State]]) -> list[Given]:
        """What a record without genotypes says by its dosages."""
        counts, given = self.tally.counts, []
        for match, state in used:
            if self._rules.policy.dosages == "refuse":
                self._states[match.site] = max(self._states[match.site], State.NO_GENOTYPES)
                continue
            pairs = None
            if self._ploidy[match.site] <= Ploidy.PAIRED and match.meaning.count(1) == 1:
                pairs = rounded(record, match.meaning.index(1), len(record.alleles))
            if pairs is None:
                self._states[match.site] = max(self._states[match.site], State.UNUSABLE_DOSAGES)
                continue
            counts[told.BETWEEN] += int((pairs[:, 0] < 0).sum())
            bad = failing_calls(record, self._rules.policy, pairs, counts)
            given.append(self._row(record, match, state, pairs, bad))
        return given


def _genotypes(record: Taken) -> NDArray[np.int16] | None:
    """The calls of a record, [people, 2]; None where it has dosages alone.

    Raises:
        InputError: It has neither, or calls that cannot be.
    """
    try:
        calls = record.calls()
    except NoGenotypes:
        if all(record.numbers(field) is None for field in DOSAGES):
            raise
        return None
    if calls.shape[1] == 1:
        calls = np.concatenate([calls, np.full_like(calls, -2)], axis=1)
    if calls.size and calls[0, 0] < 0 and int(calls.max()) < 0:
        dosages = [record.numbers(field) for field in DOSAGES]
        if any(one is not None and not np.isnan(one).all() for one in dosages):
            return None
    return calls


class Joining:
    """Decides what several parts of the input, read by a process each, say of one site.

    Args:
        tallies: Of the parts.

    Attributes:
        tally: Of all of them.
    """

    def __init__(self, tallies: Sequence[Tally]) -> None:
        self._tallies = tallies
        self.tally = sum(tallies[1:], tallies[0])

    def __call__(self, site: int, parts: Sequence[int], calls: NDArray[np.int8]) -> NDArray[np.int8]:
        """Calls of one site.

        Args:
            site: It.
            parts: Numbers of the parts that have calls of it.
            calls: int8 [parts, people, 2], theirs.
        """
        states = np.array([self._tallies[part].states[site] for part in parts])
        best = states == states.max()
        found, differ = _agreed(calls[best])
        self.tally.counts[told.REPEATED] += len(parts) - 1
        self.tally.counts[told.DISAGREE] += int(differ.sum())
        for part in np.array(parts)[best]:
            differ = differ | self._tallies[part].disputed.get(site, False)
        found[differ] = -1
        return found


def _agreed(calls: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """What records of one rank say of one site, int8 [people, 2], and on whose calls they differ, bool [people].

    Args:
        calls: int8 [rows, people, 2] in {0, 1, -1}, both of a pair missing or none.
    """
    there = calls[:, :, 0] >= 0  # [rows, people]
    copies = calls.sum(axis=2)
    most = np.where(there, copies, -1).max(axis=0)
    least = np.where(there, copies, 3).min(axis=0)
    differ = there.any(axis=0) & (most != least)
    found = np.take_along_axis(calls, there.argmax(axis=0)[None, :, None], axis=0)[0]
    found[differ] = -1
    return found, differ
