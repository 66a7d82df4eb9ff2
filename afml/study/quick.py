"""Checks of the quick runs: loose enough for small cohorts, tight enough to notice a broken method."""

from __future__ import annotations

from afml.study.record import RunRecord

WORST_RR = 0.02
RR_REDUCTION = 0.95
UTILITY = {5: 0.88, 20: 0.85}
WITHIN_CODEBOOK = 0.05


def complaints(record: RunRecord) -> list[str]:
    """What is wrong with a quick run, in words; empty where nothing is.

    Beside the headline: the group guarantee, the privacy plan, and attacks that still attack (random masking
    at the release's utility must be easy to link, and masking only the sensitive sites must protect nobody).
    """
    settings, release = record.settings, record.release
    k = settings.release.min_group_size
    floor = UTILITY.get(settings.causal, 0.85)
    sensitive = [row.rr for row in record.baselines if row.name.startswith("known sensitive")]
    checks = [
        (record.rr <= WORST_RR, f"RR {record.rr:.3f} above {WORST_RR}"),
        (record.rr_reduction >= RR_REDUCTION, f"RR reduction {record.rr_reduction:.3f} below {RR_REDUCTION}"),
        (record.utility_ratio >= floor, f"utility ratio {record.utility_ratio:.3f} below {floor}"),
        (release.min_group_size is not None and release.min_group_size >= k, f"a group is smaller than {k}"),
        (record.group_bound <= 1 / k, f"patterns per person {record.group_bound:.3f} above 1/{k}"),
        (record.ple_planned <= settings.ple + 1e-6, f"planned PLE {record.ple_planned:.3f} above {settings.ple}"),
        (release.patterns >= 3, f"only {release.patterns} patterns: the release says next to nothing"),
        (bool(sensitive) and min(sensitive) >= 0.99, "the attacks no longer identify nearly unmasked records"),
    ]
    return [text for passed, text in checks if not passed]
