"""The report on a terminal: tables; plain lines where there is none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from afml.core.bounded import at_least, at_most
from afml.core.simulation import SIMULATION
from afml.evaluation.details import Details, Row, every_phenotype
from afml.evaluation.groups import ALLOWED
from afml.evaluation.harder import Harder
from afml.evaluation.page import percent
from afml.evaluation.plot import MEASURES
from afml.evaluation.report import AttributeRow, ReleaseSection, Report, compared_rows


def summary(report: Report, method: str) -> list[tuple[str, str]]:
    """(what, value) lines of the headline."""
    release, privacy = report.release, report.privacy
    low, high = release.rr_ci95
    group = "not asked for" if release.min_group_size is None else str(release.min_group_size)
    if privacy.epsilon is None or privacy.ple_sigma is None:
        ple = f"infinite ({SIMULATION}; noise came from a seed and protects nobody)"
    else:
        spent = f"epsilon {at_most(privacy.epsilon, 2)}, delta {privacy.delta:g}, {privacy.noise} noise"
        fixed = privacy.ple_sigma_fixed_plan
        told = "" if fixed is None else f"; {at_most(fixed)} if all runs had been fixed in advance"
        ple = f"{at_most(privacy.ple_sigma)} sigma ({spent}){told}"
    if privacy.audited_ple_lower is not None:
        ple += f", audited at least {at_least(privacy.audited_ple_lower, 2)}"
    known = [("  if the institution is known", percent(release.rr_known_institution))]
    if report.scope == "own":  # candidates are the people of one file: that is RR itself
        known = []
    alone = "" if release.known_traits is None else ", by genotypes alone"
    about = [("utility is about", release.utility_phenotype)] if release.utility_phenotype else []
    return [
        ("release", f"{method}; records protected by masking and group size, not by DP"),
        ("re-identification rate", f"{percent(release.rr)} (95 %: {percent(low)} to {percent(high)})"),
        *known,
        ("  chance", f"{percent(release.chance)}, {release.candidates} candidates"),
        *_known_traits(release),
        *(
            [("  less than random masking", f"{percent(report.rr_reduction_vs_random)} at matched utility{alone}")]
            if release.utility_comparable
            else []
        ),
        *about,
        *_utility(release),
        ("smallest group in a file", group),
        ("patterns, entropy", f"{release.patterns}, {release.entropy_bits:.2f} bits"),
        ("retained genotypes", percent(release.retained_fraction)),
        ("PLE of the model", ple),
        *_overlap(report),
    ]


def _overlap(report: Report) -> list[tuple[str, str]]:
    found = report.overlap
    if found is None:
        return []
    what = "enrolled here and elsewhere" if report.scope == "own" else "enrolled at two institutions"
    return [(what, f"{found.found} found before training, {found.left_out} of them left out; outside epsilon")]


def _known_traits(release: ReleaseSection) -> list[tuple[str, str]]:
    """What releasing traits costs."""
    found = release.known_traits
    if found is None:
        return []
    low, high = found.rr_ci95
    told = f"{percent(found.rr)} (95 %: {percent(low)} to {percent(high)}), chance {percent(found.chance)}"
    return [("  if released traits are known", f"{told}; by genotypes alone {percent(found.rr_by_genotypes)}")]


def _utility(release: ReleaseSection) -> list[tuple[str, str]]:
    raw = "as many raw principal components" if release.utility_measure == "reconstruction" else "raw"
    figures = f"{MEASURES[release.utility_measure]} {release.utility_auc:.3f}, {raw} {release.raw_auc:.3f}"
    if not release.utility_comparable:
        return [("utility ratio", f"not comparable: on held-out people raw genotypes predict no phenotype ({figures})")]
    sure = release.utility_ratio_ci95
    interval = "" if sure is None else f"95 %: {sure[0]:.3f} to {sure[1]:.3f}; "
    lines = [("utility ratio", f"{release.utility_ratio:.3f} ({interval}{figures})")]
    if release.utility_measure != "reconstruction":
        lines.append(("  chance-corrected", f"{release.utility_ratio_chance_corrected:.3f}"))
    if release.utility_ratio_vs_best_raw is not None:
        lines.append(("  against the best raw model", f"{release.utility_ratio_vs_best_raw:.3f}"))
    return lines


def harder_lines(found: Harder) -> list[tuple[str, str]]:
    """(question, answer) beside RR."""
    first = found.groups.groups[0]
    told = "" if found.groups.even else f", MORE THAN {ALLOWED:g} times"
    lines = [(f"with relatives, degree {point.degree}", percent(point.rr)) for point in found.relatives]
    lines.append(("worst group", f"{percent(first.rr)} ({first.name}, {found.groups.ratio:.1f} x the mean{told})"))
    if found.groups.why and not found.groups.even:
        lines.append(("  why", found.groups.why))
    if found.groups.by_chance:
        lines.append(("  by chance alone", found.groups.by_chance))
    if found.again is not None:
        lines.append((f"with a second release ({found.again.name})", percent(found.again.rr)))
    return lines


def attribute_line(one: AttributeRow) -> tuple[str, str]:
    """(question, answer) of one attribute."""
    what = "may tell" if one.allowed else "undeclared"
    return (
        f"{what}: {one.name}",
        f"right for {percent(one.accuracy)} of held-out people, raw {percent(one.raw_accuracy)}, "
        f"by guessing the commonest {percent(one.base_rate)}",
    )


def _cells(one: Row) -> tuple[str, str, str, str, str]:
    """Name, released, raw, covariates alone, ratio."""
    measure = MEASURES[one.measure]
    ratio = "not comparable" if one.ratio is None else f"{one.ratio:.3f}"
    if one.covariates is not None and one.corrected is not None:
        ratio += f" ({one.corrected:.3f} beyond covariates)"
    if one.free is not None:
        ratio += f"; a codebook without genotypes {one.free:.3f}"
    alone = "-" if one.covariates is None else f"{one.covariates:.3f}"
    return one.name, f"{measure} {one.released:.3f}", f"{one.raw:.3f}", alone, ratio


def print_report(report: Report, method: str, console: Console, details: Details | None = None) -> None:
    """Print headline, attacks and baselines.

    Args:
        report: The contract.
        method: How records were released.
        console: Tables where it is a terminal, else plain lines.
        details: With several phenotypes, each of them is listed.
    """
    source = "simulated genotypes" if report.data.kind == "simulated" else "genotypes from VCF"
    phenotype = "simulated phenotype" if report.phenotype.simulated else "given phenotype"
    if report.release.utility_measure == "reconstruction":
        phenotype = "no phenotype"
    every = () if details is None else every_phenotype(details)
    listed = [_cells(one) for one in every] if len(every) > 1 else []
    data = report.data
    mark = f"{SIMULATION}. " if report.privacy.insecure else ""
    where = "one institution's own file" if report.scope == "own" else f"{data.nodes} nodes"
    title = f"{mark}{data.people} people, {data.sites} sites, {where}; {source}, {phenotype}"
    if data.panel_drawn:
        title += f"; panel drawn from allele frequencies ({data.panel_drawn} people)"
    attacks = sorted(report.release.rr_by_attack.items(), key=lambda item: -item[1])
    harder = [] if details is None or details.harder is None else harder_lines(details.harder)
    harder += [attribute_line(one) for one in report.attributes]
    known = report.release.utility_comparable
    rows = [
        (row.name, row.matched, percent(row.rr), f"{row.utility_ratio:.3f}" if known else "not comparable")
        for row in compared_rows(report)
    ]
    if not console.is_terminal:
        lines = [title, *(f"{what + ':':<32} {value}" for what, value in summary(report, method))]
        lines += [f"phenotype, {n}: utility ratio {ratio}, {auc}, raw {raw}" for n, auc, raw, _, ratio in listed]
        lines += [f"attack, {name + ':':<24} {percent(rr)}" for name, rr in attacks]
        lines += [f"{what + ':':<32} {value}" for what, value in harder]
        lines += [f"baseline, {n} at matched {m}: RR {rr}, utility ratio {ratio}" for n, m, rr, ratio in rows]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
        return
    headline = Table(title=title, show_header=False, title_justify="left")
    for what, value in summary(report, method):
        headline.add_row(what, value)
    linked = Table("attack", "success", title="Linkage", title_justify="left")
    for name, rr in attacks:
        linked.add_row(name, percent(rr))
    for what, value in harder:
        linked.add_row(what, value)
    compared = Table("baseline", "matched on", "RR", "utility ratio", title="Baselines", title_justify="left")
    for cells in rows:
        compared.add_row(*cells)
    served = Table("phenotype", "release", "raw", "covariates alone", "utility ratio", title="Phenotypes")
    served.title_justify = "left"
    for one in listed:
        served.add_row(*one)
    for table in (headline, *([served] if listed else []), linked, compared):
        console.print(table)
