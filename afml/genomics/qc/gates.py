"""The gates: each holds one number against one limit, and refuses with both and the option that moves the limit."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import GateError
from afml.genomics.qc.counts import Counts
from afml.genomics.qc.report import GateRow
from afml.genomics.qc.settings import CHANCE, MAX_DIFFERING, GateSettings
from afml.genomics.store import GenotypeStore


class Gate(NamedTuple):
    """One gate and what stands before it.

    Attributes:
        what: What is counted.
        seen: How much of it there is.
        of: Out of how many.
        limit: The largest number that passes.
        problem: What a refusal says.
        cure: What to do about it.
    """

    what: str
    seen: int
    of: int
    limit: int
    problem: str
    cure: str

    @property
    def passed(self) -> bool:
        """Whether the number is within the limit."""
        return self.seen <= self.limit

    def row(self) -> GateRow:
        """The same for a report."""
        return GateRow(what=self.what, seen=self.seen, of=self.of, limit=self.limit)


def store_gates(
    store: GenotypeStore, counts: Counts, panel_people: int, settings: GateSettings
) -> tuple[Gate, Gate, Gate]:
    """The gates of the genotypes themselves: people, sites, frequencies; `panel_people` is 0 where they are drawn."""
    return (
        person_gate(counts, settings),
        site_gate(store, counts, settings),
        frequency_gate(store, counts, panel_people, settings),
    )


def poorly_called(counts: Counts, settings: GateSettings) -> NDArray[np.bool_]:
    """Which people have too few calls, [people]."""
    return counts.people.call_rate < settings.min_person_call_rate


def person_gate(counts: Counts, settings: GateSettings) -> Gate:
    """No one may have calls at fewer sites than `min_person_call_rate` asks for."""
    rates = counts.people.call_rate
    few = int(poorly_called(counts, settings).sum())
    return Gate(
        f"people with calls at less than {settings.min_person_call_rate:.4g} of the sites",
        few,
        len(rates),
        0,
        f"{few} of {len(rates)} people have calls at less than {settings.min_person_call_rate:.4g} of the sites "
        f"(lowest {float(rates.min(initial=1.0)):.3f})",
        "leave them out with --poorly-called drop, or move the gate with --min-person-call-rate",
    )


def site_gate(store: GenotypeStore, counts: Counts, settings: GateSettings) -> Gate:
    """Absent sites, and those of which too few people have calls, may be `max_absent` of all; Y has no call rate."""
    sites = len(store.panel)
    poor = counts.sites.called < settings.min_site_call_rate * len(store)
    few = int((poor & ~store.absent & (np.array(store.panel.chrom) != "Y")).sum())
    seen = store.absent_sites + few
    return Gate(
        f"sites that are absent, or called in less than {settings.min_site_call_rate:.4g} of the people",
        seen,
        sites,
        int(settings.max_absent * sites),
        f"{store.absent_sites} of the panel's {sites} sites are absent and {few} are called in less than "
        f"{settings.min_site_call_rate:.4g} of the people, together more than {settings.max_absent:.4g} of them",
        "have them called again, or move the gate with --min-site-call-rate or --max-absent",
    )


def frequency_gate(store: GenotypeStore, counts: Counts, panel_people: int, settings: GateSettings) -> Gate:
    """Sites may differ from the panel in frequency, beyond chance, by `max_frequency_difference`; 20 % may by more."""
    compared = counts.sites.called > 0
    far = int(differing(store, counts, panel_people, settings).sum())
    of = int(compared.sum())
    return Gate(
        f"sites whose frequency is more than {settings.max_frequency_difference:.4g} from the panel's",
        far,
        of,
        int(MAX_DIFFERING * of),
        f"the frequencies of {far} of {of} sites are more than {settings.max_frequency_difference:.4g} from the "
        f"panel's, which is more than {MAX_DIFFERING:.0%} of them",
        "look for another assembly, strand or ancestry, or move the gate with --max-frequency-difference",
    )


def differing(store: GenotypeStore, counts: Counts, panel_people: int, settings: GateSettings) -> NDArray[np.bool_]:
    """Which sites are further from the panel's frequency than allowed and than chance explains, [S]."""
    p, called = store.panel.maf, counts.sites.called
    inverse = 1 / np.maximum(2 * called, 1) + (1 / (2 * panel_people) if panel_people else 0.0)
    allowed = settings.max_frequency_difference + CHANCE * np.sqrt(p * (1 - p) * inverse)
    difference = np.abs(np.where(called > 0, counts.sites.frequency, p) - p)
    return np.asarray(difference > allowed) if settings.max_frequency_difference < 1 else np.zeros(len(p), np.bool_)


def require(gate: Gate, where: Path) -> None:
    """Refuse what a gate does not let through.

    Raises:
        GateError: The number, the limit and the option.
    """
    if not gate.passed:
        raise GateError(gate.problem, where=where, cure=gate.cure)
