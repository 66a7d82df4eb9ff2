"""What a terminal says of a file that was attacked again."""

from __future__ import annotations

from afml.evaluation.page import percent
from afml.evaluation.reassess import Reassessed, Threat


def reassessed_lines(found: Reassessed) -> list[tuple[str, str]]:
    """(what, value), top to bottom."""
    gone = found.records - found.attacked
    attacked = f"{found.attacked} of {found.records} records" if gone else f"{found.records} records"
    lines = [
        ("attacked", f"{attacked}, {found.candidates} candidates, chance {percent(found.chance)}"),
        ("patterns, rarest", f"{found.patterns.patterns}, shown by {found.patterns.smallest_group}"),
        *_of(found.then, "the panel of the run"),
    ]
    if found.now is not None:
        lines += _of(found.now, "everybody public today")
    for kin in found.kin:
        low, high = kin.ci95
        told = f"{percent(kin.named)} ({percent(low)} to {percent(high)}), chance {percent(kin.chance)}"
        lines.append((f"named by {kin.relatives} relatives, degree {kin.degree}", told))
        lines.append(("  their person's pattern", f"{percent(kin.group)}, chance {percent(kin.group_by_chance)}"))
    for other in found.others:
        told = f"{percent(other.rr)}, {other.patterns} patterns, rarest shown by {other.smallest_group}"
        lines.append((f"together with run {other.name}", told))
    return lines


def _of(threat: Threat, whom: str) -> list[tuple[str, str]]:
    low, high = threat.ci95
    worst = max(threat.by_attack, key=lambda name: threat.by_attack[name])
    gain = threat.recovery.accuracy - threat.recovery.panel_accuracy
    return [
        (f"with {whom}", f"{threat.public_people} public people"),
        ("  re-identification rate", f"{percent(threat.rr)} ({percent(low)} to {percent(high)}), by {worst}"),
        ("  membership", f"AUC {threat.membership.auc:.3f}"),
        (
            "  genotypes recovered",
            f"{percent(threat.recovery.accuracy)} ({100 * gain:+.2f} points over the public people)",
        ),
    ]
