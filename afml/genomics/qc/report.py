"""What `afml prepare` found of an institution's genotypes: qc.json, in a part that may leave and one that stays.

What may leave follows from public data and from the settings alone. Everything else is an exact statistic of private
people: no epsilon accounts for it, and it stays at the institution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml import __version__
from afml.core.config import Settings
from afml.core.files import write_secret
from afml.genomics.calls.settle import SexCounts
from afml.genomics.calls.tally import REASONS
from afml.genomics.qc.settings import GateSettings


class Spread(Settings):
    """How values are spread; of no value at all, everything is None."""

    lowest: float | None
    percent_1: float | None
    median: float | None
    percent_99: float | None
    highest: float | None

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread:
        """Of some values; NaN is none."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(lowest=None, percent_1=None, median=None, percent_99=None, highest=None)
        low, one, half, most, high = (float(value) for value in np.quantile(finite, (0, 0.01, 0.5, 0.99, 1)))
        return cls(lowest=low, percent_1=one, median=half, percent_99=most, highest=high)


class MayLeave(Settings):
    """What follows from the public panel and the settings alone.

    Attributes:
        afml: Version of this program.
        site_panel: Digest of the site panel.
        sites: How many it has.
        contigs: Sites on each contig.
        panel_people: People of the public panel.
        panel_drawn: Whether they are drawn from frequencies.
        waterfall: What became of the alleles of the panel's file: (what, how many).
        gates: Limits of the gates.
    """

    afml: str = __version__
    site_panel: str
    sites: int
    contigs: dict[str, int]
    panel_people: int
    panel_drawn: bool
    waterfall: tuple[tuple[str, int], ...]
    gates: GateSettings


class GateRow(Settings):
    """One gate: how many of how many, and how many may be."""

    what: str
    seen: int
    of: int
    limit: int


class Stays(Settings):
    """What is known of private people.

    Attributes:
        people: Rows of the store.
        columns: Of the institution's file.
        dropped: Columns left out for their few calls.
        gates: Every gate.
        records: What became of records and sites, by reason (`afml.genomics.calls.tally.REASONS`).
        absent: Sites of the panel that the file lacks.
        site_call_rate: Over the sites that are there.
        person_call_rate: Over people.
        frequency_correlation: Of the counted allele here and in the panel, over sites; None where one of them is flat.
        frequency_difference: Absolute, over sites.
        differing: Sites further from the panel than allowed and than chance explains.
        hardy_weinberg: p below -> number of autosomal sites.
        inbreeding: F of people, by the panel's frequencies.
        far_inbreeding: People whose F is more than five robust standard deviations from the median.
        same: Pairs of columns that were one record under two names.
        relatives: Pairs of relatives.
        same_in_panel: People who are in the public panel as well.
        names_in_panel: People whose name somebody in the panel has, with another record.
        relatives_in_panel: People who have a relative there.
        far_from_panel: People far from everybody in the panel by ancestry; None where the panel shows none.
        ancestry_sites: Sites that ancestry was looked for at.
        numbers_missing: Column of the phenotype table -> people without a number in it.
        sexes: How many are male and female, by the phenotype table and by their calls on X.
        build: Of the genome, by the headers; empty where none says.
        x_sites: Sites on X.
    """

    people: int
    columns: int
    dropped: int
    gates: tuple[GateRow, ...]
    records: dict[str, int]
    absent: int
    site_call_rate: Spread
    person_call_rate: Spread
    frequency_correlation: float | None
    frequency_difference: Spread
    differing: int
    hardy_weinberg: dict[str, int]
    inbreeding: Spread
    far_inbreeding: int
    same: int
    relatives: int
    same_in_panel: int
    names_in_panel: int
    relatives_in_panel: int
    far_from_panel: int | None
    ancestry_sites: int
    numbers_missing: dict[str, int]
    sexes: SexCounts
    build: str
    x_sites: int


class QcReport(Settings):
    """The report.

    Attributes:
        afml_qc: Version of this form.
        may_leave: Public.
        stays: Private.
    """

    afml_qc: int = 1
    may_leave: MayLeave
    stays: Stays

    def save(self, path: Path) -> None:
        """Write it, readable by its owner only."""
        write_secret(path, self.model_dump_json(indent=2).encode() + b"\n")

    def lines(self) -> tuple[str, ...]:
        """The table that `afml prepare` prints: gates first, then what is told for people to judge."""
        return table(self.stays.gates, self.stays.records, told_rows(self.stays))


def table(gates: Iterable[GateRow], records: Mapping[str, int], told: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Lines of what was measured, aligned.

    Args:
        gates: That were measured.
        records: Reason (`REASONS`) -> how many.
        told: (what, value) of what has no gate.
    """
    rows = [(gate.what, f"{gate.seen} of {gate.of}", f"at most {gate.limit}") for gate in gates]
    rows += [(REASONS.get(reason, reason), str(number), "") for reason, number in records.items()]
    rows += [(what, value, "") for what, value in told]
    wide, next_wide = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    return tuple(f"{a:<{wide}}  {b:>{next_wide}}  {c}".rstrip() for a, b, c in rows)


def rate_rows(sites: Spread, people: Spread) -> list[tuple[str, str]]:
    """(what, value) of call rates."""
    return [
        ("lowest, median call rate of sites", _two(sites, 3)),
        ("lowest, median call rate of people", _two(people, 3)),
    ]


def told_rows(found: Stays) -> list[tuple[str, str]]:
    """(what, value) of what was measured and has no gate."""
    rows = [
        *rate_rows(found.site_call_rate, found.person_call_rate),
        ("median, highest difference of frequencies", _pair(found.frequency_difference, "median", "highest")),
        ("correlation of frequencies with the panel's", _number(found.frequency_correlation)),
    ]
    rows += [(f"sites out of Hardy-Weinberg equilibrium at p < {p}", str(n)) for p, n in found.hardy_weinberg.items()]
    rows += [
        ("lowest, highest F (heterozygosity) of people", _pair(found.inbreeding, "lowest", "highest")),
        ("people whose F stands out", str(found.far_inbreeding)),
        ("people far from the panel by ancestry", _told(found.far_from_panel)),
    ]
    rows += [(f"people without a number in column '{name}'", str(n)) for name, n in found.numbers_missing.items() if n]
    if found.names_in_panel:
        rows.append(("people with a name of the panel and another record", str(found.names_in_panel)))
    return rows


def _told(number: int | None) -> str:
    return "cannot be told" if number is None else str(number)


def _two(spread: Spread, digits: int) -> str:
    return _pair(spread, "lowest", "median", digits)


def _pair(spread: Spread, one: str, other: str, digits: int = 3) -> str:
    return ", ".join(_number(getattr(spread, name), digits) for name in (one, other))


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
