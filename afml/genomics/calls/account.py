"""What an institution's genotypes went through on their way to the store: what it asked for, and what was met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.config import Settings
from afml.core.errors import GateError, InputError
from afml.genomics.calls import tally as told
from afml.genomics.calls.settle import Settled, SexCounts
from afml.genomics.calls.sexes import Sex, read_sexes
from afml.genomics.calls.site_calls import Rules
from afml.genomics.calls.states import WHY_ABSENT, State
from afml.genomics.calls.tally import ABSENT, Tally
from afml.genomics.contigs import require_shared
from afml.genomics.sites import SitePanel

ACCOUNT_FILE = "calls.json"
"""Beside the store of an institution's genotypes."""

_ELSEWHERE, _ENOUGH = 0.1, 10
"""Share, and least number, of places with another reference base that mean another build or strand."""


class Sexes(NamedTuple):
    """Where the sex of people is said.

    Attributes:
        phenotypes: A table with a column `sex`, or without one; None where there is none.
        person_of: Name of a column -> person, where they differ.
        codes: What stands for a missing value in the table.
        stated: Of columns of whom the table says nothing: 1 male, 2 female, by PLINK's own table of people.
    """

    phenotypes: Path | None
    person_of: Mapping[str, str] = {}
    codes: Sequence[str] = ()
    stated: Mapping[str, int] = {}

    def of(self, samples: Sequence[str], panel: SitePanel) -> NDArray[np.uint8] | None:
        """What it says of some columns; see `read_sexes`.

        Where the panel has no site on X or Y nobody needs it: a column of other values is then left alone.
        """
        try:
            found = read_sexes(self.phenotypes, samples, self.person_of, self.codes)
        except InputError:
            if {"X", "Y"} & set(panel.chrom):
                raise
            return None
        if not self.stated:
            return found
        stated = np.array([self.stated.get(name, Sex.UNKNOWN) for name in samples], dtype=np.uint8)
        return stated if found is None else np.where(found > 0, found, stated).astype(np.uint8)


@dataclass
class CallReading:
    """How the calls of a file are taken, and, once they were, what was met.

    Attributes:
        rules: By what they are taken.
        sexes: Where the sex of the people is said.
        keep: Columns that are read, None for all.
        chosen: Whether each call is there for what it is, as in a masked file: nothing is decided by frequencies then,
            which are those of whoever chose.
        tally: What was met.
        settled: What all records together decided.
    """

    rules: Rules = field(default_factory=Rules)
    sexes: Sexes | None = None
    keep: Sequence[str] | None = None
    chosen: bool = False
    tally: Tally | None = None
    settled: Settled | None = None

    def account(self) -> Account:
        """The same in numbers, of a file that was read."""
        assert self.tally is not None
        assert self.settled is not None
        return Account(
            counts=dict(self.tally.told()),
            sexes=self.settled.counts,
            build=self.rules.build or "",
            asked=self.rules.policy.remarks(),
        )


class Account(Settings):
    """What was met, in numbers that name nobody.

    Attributes:
        counts: Reason (`tally.REASONS`) -> how many.
        sexes: Who is what.
        build: Of the genome; empty where no header says.
        asked: What records and calls had to have.
    """

    counts: dict[str, int]
    sexes: SexCounts
    build: str
    asked: tuple[str, ...]

    def remarks(self) -> tuple[str, ...]:
        """In lines, for the person who prepares; the counts stand in the table of quality (`qc.report`)."""
        lines = [f"genome build: {self.build or 'not said by any header'}", *self.asked]
        if self.sexes.sites_on_x or self.sexes.declared:
            lines.append(
                f"sex: {self.sexes.male} male, {self.sexes.female} female, {self.sexes.unknown} unknown; "
                f"{self.sexes.declared} by the phenotype table or PLINK's, {self.sexes.inferred} by calls on X"
            )
        if self.sexes.disagree:
            lines.append(f"sex: of {self.sexes.disagree} people the table and the calls on X say different things")
        return tuple(lines)


def require_sites(tally: Tally, panel: SitePanel, max_absent: float, contigs: Iterable[str], where: Path) -> None:
    """Refuse a file that lacks too much of the panel, or whose reference is another one.

    Args:
        tally: Of the whole file.
        panel: The site panel.
        max_absent: Largest share of its sites that may be absent.
        contigs: Of the file, as spelled.
        where: The file, to blame.

    Raises:
        GateError: Says how many sites are absent, by why.
    """
    states = tally.states
    elsewhere = int(((states == State.OTHER_REFERENCE) | (states == State.OTHER_STRAND)).sum())
    if elsewhere >= _ENOUGH and elsewhere > _ELSEWHERE * (elsewhere + int(tally.called.sum())):
        raise GateError(
            f"has another base at {elsewhere} of the panel's sites than the panel or its other strand has "
            f"({_reasons(tally)})",
            where=where,
            cure="give genotypes of the panel's build and of the forward strand",
        )
    absent = tally.told().get(ABSENT, 0)
    if absent <= max_absent * len(panel):
        return
    require_shared(contigs, where, panel.chrom, "the site panel")
    chrom, pos, ref, alt = panel.key(int(np.argmax(~tally.called)))
    raise GateError(
        f"lacks {absent} of the panel's {len(panel)} sites (first {chrom}:{pos} {ref}>{alt}), more than "
        f"{max_absent:.0%}: {_reasons(tally)}",
        where=where,
        cure="use a VCF of the same assembly with these sites called, or move the gate with --max-absent",
    )


def require_numbers(tally: Tally, where: Path) -> None:
    """Refuse a least GQ or DP for a file none of whose calls has one: nothing would be left, for that reason alone.

    Raises:
        GateError: Names the field and the option.
    """
    asked = (("GQ", told.GQ_ASKED, told.NO_GQ), ("DP", told.DP_ASKED, told.NO_DP))
    for name, looked_at, none in asked:
        calls = tally.counts[looked_at]
        if calls and tally.counts[none] == calls:
            raise GateError(
                f"none of its {calls} calls at the panel's sites has a {name}",
                where=where,
                cure=f"leave --min-{name.lower()} out",
            )


def require_sexes(settled: Settled, where: Path | None) -> None:
    """Refuse a phenotype table whose sexes are most people's other one: a column coded the other way round.

    Raises:
        GateError: Says of how many.
    """
    judged = min(settled.counts.declared, settled.counts.inferred)
    if settled.counts.disagree >= _ENOUGH and settled.counts.disagree > judged / 2:
        raise GateError(
            f"the sex of {settled.counts.disagree} of {judged} people is not that of their calls on X",
            where=where or "PLINK's table of people",
            cure="code it as M and F, or 1 (male) and 2 (female)",
        )


def _reasons(tally: Tally) -> str:
    order: Sequence[str] = list(WHY_ABSENT.values())
    found = sorted(tally.absent().items(), key=lambda item: (-item[1], order.index(item[0])))
    return ", ".join(f"{number} {why}" for why, number in found)
