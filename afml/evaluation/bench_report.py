"""bench.json and what a terminal says of it: the contract of `afml evaluate --attack-bench` (docs/REPORT.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from afml.core.files import write_bytes
from afml.evaluation.bench import Bench
from afml.evaluation.groups import ALLOWED
from afml.evaluation.page import percent
from afml.evaluation.ran import Section


class BenchFile(Section):
    """One file under attack."""

    file: str = Field(description="its name, without folder")
    found: Bench


class BenchReport(Section):
    """All of bench.json."""

    files: tuple[BenchFile, ...]
    seed: int


def write_bench(report: BenchReport, path: Path) -> None:
    """Write bench.json, whole or not at all."""
    write_bytes(path, (report.model_dump_json(indent=2) + "\n").encode())


def bench_lines(one: BenchFile) -> list[tuple[str, str]]:
    """(what, value) of one file."""
    found, membership = one.found, one.found.membership
    linked = found.linked
    lines = [
        (one.file, f"{found.records} records of {found.people} people, {found.sites} sites, panel of {found.panel}"),
        ("patterns, rarest", f"{found.patterns.patterns}, shown by {found.patterns.smallest_group}"),
    ]
    if linked is None:
        lines.append(
            ("re-identification", "not asked: its records are called like nobody (--pairs says whose they are)")
        )
    else:
        low, high = linked.ci95
        worst = max(linked.by_attack, key=lambda name: linked.by_attack[name])
        lines.append(
            ("re-identification rate", f"{percent(linked.rr)} ({percent(low)} to {percent(high)}), by {worst}")
        )
        lines.append(("  chance", f"{percent(linked.chance)}, {linked.candidates} candidates"))
        lines += [(f"  relatives, degree {point.degree}", percent(point.rr)) for point in linked.relatives]
        first = linked.groups.groups[0]
        told = "" if linked.groups.even else f", MORE THAN {ALLOWED:g} times"
        lines.append(
            ("  worst group", f"{first.name}: {percent(first.rr)}, {linked.groups.ratio:.1f} x the mean{told}")
        )
        if linked.groups.by_chance:
            lines.append(("    by chance alone", linked.groups.by_chance))
        gain = linked.recovery.accuracy - linked.recovery.panel_accuracy
        lines.append(
            ("  genotypes recovered", f"{percent(linked.recovery.accuracy)} ({100 * gain:+.1f} points over the panel)")
        )
    best = max(membership.auc_by_attack, key=lambda name: membership.auc_by_attack[name])
    lines.append(
        (
            "membership",
            f"AUC {membership.auc:.3f} by {best}; {percent(membership.tpr_at_low_fpr)} found at "
            f"{percent(membership.fpr)} false alarms",
        )
    )
    agreement = found.frequencies.correlation
    lines.append(
        ("allele frequencies", "none shown" if agreement is None else f"r = {agreement:.3f} with the people's")
    )
    return lines
