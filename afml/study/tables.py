"""results/tables.md: the bars, the groups, the runs, the baselines, the ablations, the regression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.evaluation.page import percent
from afml.study import regression
from afml.study.record import RunRecord
from afml.study.summary import Bar, bars, groups, is_plain, median

NOTE = f"""**{SIMULATION}**: the noise of every run comes from a seed, so that a result can be made again. Such
models protect nobody; PLE and epsilon are those of the same runs with noise from the operating system.

Phenotypes are simulated (liability threshold over random causal sites); genotypes are those of the
1000 Genomes Project unless a line says "simulated". PLE bounds what training reveals; released records are
protected by masking and group size, not by differential privacy. RR: success of the worst attack, all private
people as candidates. Every figure is the median over phenotype seeds, with smallest and largest in brackets,
unless a line says otherwise."""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([_line(header), _line("---" for _ in header), *(_line(row) for row in rows)])


def _spread(values: Sequence[float], form: str = "{:.3f}") -> str:
    middle = form.format(median(values))
    return f"{middle} [{form.format(min(values))}, {form.format(max(values))}]"


def _percents(values: Sequence[float]) -> str:
    return f"{percent(median(values))} [{percent(min(values))}, {percent(max(values))}]"


def verdict(bar: Bar) -> str:
    """reached, MISSED, or reported only."""
    return {True: "reached", False: "**MISSED**", None: "reported"}[bar.met]


def bar_table(records: Sequence[RunRecord]) -> str:
    """Every bar in every group."""
    rows = [
        (
            bar.what,
            ", ".join(bar.group),
            f"{bar.value:.5g}",
            "-" if bar.target is None else f"{'>=' if bar.at_least else '<='} {bar.target:g}",
            verdict(bar),
        )
        for bar in bars(records)
    ]
    return _table(("bar", "noise, PLE target, sites, causal sites", "value", "to reach", ""), rows)


def group_table(records: Sequence[RunRecord]) -> str:
    """Headline figures of every group."""
    rows = [
        (
            ", ".join(group), str(len(members)), _percents([r.rr for r in members]),
            _percents([r.rr_reduction for r in members]), _percents([r.rr_known_institution for r in members]),
            _spread([r.utility_ratio for r in members]),
            _spread([r.utility_ratio_chance_corrected for r in members]),
            _spread([r.utility_ratio_vs_best_raw for r in members]),
            _spread([r.ple_sigma for r in members], "{:.2f}"), _spread([r.seconds for r in members], "{:.0f}"),
        )
        for group, members in groups(filter(is_plain, records)).items()
    ]  # fmt: skip
    header = (
        "noise, PLE target, sites, causal", "runs", "RR", "RR reduction", "RR, institution known", "utility ratio",
        "chance-corrected", "against best raw", "PLE spent", "seconds",
    )  # fmt: skip
    return _table(header, rows)


def baseline_table(records: Sequence[RunRecord]) -> str:
    """Every baseline in every group, matched on utility or retention."""
    rows = []
    for group, members in groups(filter(is_plain, records)).items():
        rows.append((", ".join(group), "**AFML release**", "-", _percents([r.rr for r in members]),
                     _spread([r.utility_ratio for r in members])))  # fmt: skip
        names = dict.fromkeys((row.name, row.matched) for r in members for row in r.baselines)
        for name, matched in names:
            found = [row for r in members for row in r.baselines if (row.name, row.matched) == (name, matched)]
            rows.append((", ".join(group), name, matched, _percents([row.rr for row in found]),
                         _spread([row.utility_ratio for row in found])))  # fmt: skip
    return _table(("noise, PLE target, sites, causal", "release", "matched on", "RR", "utility ratio"), rows)


def variant_table(records: Sequence[RunRecord]) -> str:
    """Ablations and other variants, several phenotypes."""
    found: dict[tuple[str, ...], list[RunRecord]] = {}
    for record in records:
        if not is_plain(record):
            one = record.settings
            key: tuple[str, ...] = (
                one.variant,
                one.noise,
                f"{one.ple:g}",
                one.sites_key,
                str(one.causal),
                str(one.phenotypes),
            )
            found.setdefault(key, []).append(record)
    rows = []
    for key, members in found.items():
        ratios = "; ".join(
            _spread([r.phenotypes[k].utility_ratio for r in members]) for k in range(int(key[-1]))
        )  # fmt: skip
        rows.append((*key, str(len(members)), _percents([r.rr for r in members]), ratios))
    header = ("variant", "noise", "PLE", "sites", "causal", "phenotypes", "runs", "RR", "utility ratio of each")
    return _table(header, rows)


def run_table(records: Sequence[RunRecord]) -> str:
    """Every run with the 95 % interval of its RR."""
    rows = [
        (
            record.name, percent(record.rr),
            " to ".join(percent(end) for end in record.release.rr_ci95), percent(record.rr_known_institution),
            f"{record.utility_ratio:.3f}", f"{record.release.utility_auc:.3f}", f"{record.release.raw_auc:.3f}",
            str(record.release.min_group_size), f"{record.ple_sigma:.3f}", record.release.method,
            f"{record.seconds:.0f}",
        )
        for record in records
    ]  # fmt: skip
    header = ("run", "RR", "95 % interval", "institution known", "utility ratio", "AUC", "raw AUC", "smallest group",
              "PLE", "method", "seconds")  # fmt: skip
    return _table(header, rows)


def federated_table(records: Sequence[RunRecord]) -> str:
    """Runs that were also made through the encrypted federation."""
    rows = [
        (r.name, "yes" if r.federated.same_model else "**NO**", "yes" if r.federated.same_release else "**NO**",
         f"{r.federated.seconds:.0f}", str(r.federated.bytes_up_per_round))
        for r in records if r.federated is not None
    ]  # fmt: skip
    header = ("run", "same model, bit for bit", "same released files", "seconds", "bytes up per node and round")
    return _table(header, rows) if rows else "None yet."


def write_tables(
    path: Path, records: Sequence[RunRecord], *, missing: Sequence[str], stale: Sequence[str], title: str
) -> None:
    """Write tables.md.

    Args:
        path: Target.
        records: The runs that are there.
        missing: Names of planned runs that are not.
        stale: Names of runs that another version of the source made.
        title: First line.
    """
    parts = [f"# {title}", NOTE]
    if missing:
        parts.append(f"**Partial**: {len(missing)} planned runs are missing: {', '.join(missing)}.")
    if stale:
        which = f"all {len(records)} runs" if len(stale) == len(records) else ", ".join(stale)
        parts.append(f"Made by another version of the source, see README.md: {which}.")
    if records:
        parts += ["## Bars", bar_table(records), "## Groups", group_table(records)]
        parts += ["## Against other releases", baseline_table(records)]
        if any(not is_plain(record) for record in records):
            parts += ["## Variants", variant_table(records)]
        parts += ["## Through the encrypted federation", federated_table(records)]
        parts += ["## Every run", run_table(records)]
        if regression.describe(records) is not None:
            parts += ["## Performance regressed on mask configuration", "```", regression.table(records), "```"]
    write_bytes(path, ("\n\n".join(parts) + "\n").encode())
