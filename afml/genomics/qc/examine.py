"""Examining a finished store: measures, gates and what the report says of both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.data.people import PersonColumns
from afml.genomics.calls.account import Account
from afml.genomics.calls.tally import REASONS
from afml.genomics.persons import PersonCounts
from afml.genomics.qc.ancestry import Ancestry, ancestry
from afml.genomics.qc.counts import Counts, autosomal, count
from afml.genomics.qc.gates import Gate, differing, person_gate, poorly_called, require, store_gates
from afml.genomics.qc.hwe import hwe_p
from afml.genomics.qc.refusal import telling
from afml.genomics.qc.report import MayLeave, QcReport, Spread, Stays
from afml.genomics.qc.settings import GateSettings
from afml.genomics.store import GenotypeStore

#: p-values of Hardy-Weinberg equilibrium below which sites are counted.
LOW_P = (1e-6, 1e-10)
_FAR_F = 5.0  # robust standard deviations


_ALL = "call these people again, or move the gate with --min-person-call-rate"


class Known(NamedTuple):
    """What is known of a store beside its genotypes.

    Attributes:
        account: What records and calls went through, and who is male and female.
        persons: Who the columns were.
        dropped: Columns left out for their few calls.
        overlap: How many people may be in the public panel as well.
        waterfall: What became of the panel file's alleles.
        columns: What the phenotype table says of the people.
        where: The institution's file, to blame.
    """

    account: Account
    persons: PersonCounts
    dropped: int
    overlap: int
    waterfall: tuple[tuple[str, int], ...]
    columns: PersonColumns
    where: Path


class Examined(NamedTuple):
    """What was measured: the report, and the arrays that figures are drawn of.

    Attributes:
        report: In numbers.
        counts: Of every site and person.
        hardy_weinberg: p of every site, NaN off the autosomes and where a site is absent, [S].
        differing: Sites further from the panel's frequency than allowed and than chance explains, [S].
        ancestry: Components; None where the panel shows none.
    """

    report: QcReport
    counts: Counts
    hardy_weinberg: NDArray[np.float64]
    differing: NDArray[np.bool_]
    ancestry: Ancestry | None


def well_called(store: GenotypeStore, settings: GateSettings, where: Path) -> dict[str, list[int]]:
    """The columns whose people have enough calls, as `fold_store` takes them.

    Raises:
        GateError: Some have too few and are not to be dropped, or all have.
    """
    counts = count(store)
    poor = poorly_called(counts, settings)
    gate = person_gate(counts, settings)
    if settings.poorly_called == "refuse" or poor.all():
        require(gate if not poor.all() else gate._replace(cure=_ALL), where)
    return {name: [column] for column, name in enumerate(store.samples) if not poor[column]}


def examine(store: GenotypeStore, public: GenotypeStore, known: Known, settings: GateSettings) -> Examined:
    """Measure a store and hold it against the gates.

    Args:
        store: The institution's people.
        public: The public panel.
        known: What else is known of it.
        settings: Of the gates.

    Raises:
        GateError: A gate does not let it through; the first one that does not is named.
    """
    counts = count(store)
    panel_people = 0 if store.panel.drawn_people else len(public)
    gates = (*store_gates(store, counts, panel_people, settings), _overlap(known))
    there = ~store.absent
    p = np.where(there & autosomal(store), hwe_p(*_of_sites(counts)), np.nan)
    place = ancestry(store, public)
    far = differing(store, counts, panel_people, settings)
    of = int((there & (counts.sites.called > 0)).sum())
    difference = np.abs(counts.sites.frequency - store.panel.maf)
    report = QcReport(
        may_leave=MayLeave(
            site_panel=store.panel.digest(),
            sites=len(store.panel),
            contigs=dict(Counter(store.panel.chrom)),
            panel_people=len(public),
            panel_drawn=bool(store.panel.drawn_people),
            waterfall=known.waterfall,
            gates=GateSettings.model_validate({name: getattr(settings, name) for name in GateSettings.model_fields}),
        ),
        stays=Stays(
            people=len(store),
            columns=known.persons.columns + known.dropped,
            dropped=known.dropped,
            gates=tuple(gate.row() for gate in gates),
            records={reason: known.account.counts[reason] for reason in REASONS if known.account.counts.get(reason)},
            absent=store.absent_sites,
            site_call_rate=Spread.of(counts.sites.called[there] / len(store)),
            person_call_rate=Spread.of(counts.people.call_rate),
            frequency_correlation=_correlation(counts.sites.frequency, store.panel.maf) if of > 1 else None,
            frequency_difference=Spread.of(difference),
            differing=int(far.sum()),
            hardy_weinberg={f"{limit:g}": int((p < limit).sum()) for limit in LOW_P},
            inbreeding=Spread.of(counts.people.inbreeding),
            far_inbreeding=_far(counts.people.inbreeding),
            same=known.persons.same,
            relatives=known.persons.relatives,
            same_in_panel=known.persons.same_in_panel,
            names_in_panel=known.persons.names_in_panel,
            relatives_in_panel=known.persons.relatives_in_panel,
            far_from_panel=None if place is None else place.far,
            ancestry_sites=0 if place is None else place.sites,
            numbers_missing=dict(
                zip(known.columns.names, np.isnan(known.columns.values).sum(axis=0).tolist(), strict=True)
            ),
            sexes=known.account.sexes,
            build=known.account.build,
            x_sites=store.panel.chrom.count("X"),
        ),
    )
    # `well_called` took care of the first one, before columns were merged; `find_people` of the last.
    with telling(lambda: (*report.lines(), *known.account.remarks(), *known.persons.remarks())):
        for gate in gates[1:-1]:
            require(gate, known.where)
    return Examined(report, counts, p, far, place)


def _of_sites(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return counts.sites.called, counts.sites.one, counts.sites.two


def _overlap(known: Known) -> Gate:
    what, persons = "people who are in the public panel as well", known.persons
    return Gate(what, persons.same_in_panel, persons.columns, known.overlap, "", "")


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    some = np.isfinite(a)
    if a[some].std() == 0 or b[some].std() == 0:
        return None
    return float(np.corrcoef(a[some], b[some])[0, 1])


def _far(inbreeding: NDArray[np.float64]) -> int:
    finite = inbreeding[np.isfinite(inbreeding)]
    if not len(finite):
        return 0
    middle = np.median(finite)
    spread = 1.4826 * np.median(np.abs(finite - middle))  # standard deviation of normal values with that spread
    return int((np.abs(finite - middle) > _FAR_F * spread).sum()) if spread > 0 else 0
