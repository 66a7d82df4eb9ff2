"""The study as it is reproduced: the product's own noise, the real exomes, and all that follows from the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from afml.consortium.run import Phase
from afml.core.files import write_bytes
from afml.masking.plan import Wish, plan_phases
from afml.masking.settings import GameSettings, MaskingSettings, RiskSettings
from afml.study import regression
from afml.study.data import DataSettings, Note, exomes, file_digest, load
from afml.study.design import QUICK_SITES, Design, quick
from afml.study.federated import federate
from afml.study.figures import write_figures
from afml.study.quick import complaints
from afml.study.record import RunRecord
from afml.study.runner import Job, Places, collect, make_runs, stale
from afml.study.summary import write_summary
from afml.study.tables import write_tables

RISK_ROUNDS = 20


@cache
def phases(
    ple: float, sites: int, share: float, game_rounds: int, phenotypes: int, game: GameSettings | None = None
) -> tuple[Phase, ...]:
    """The product's own plan of private phases: 20 rounds, one reserved attempt."""
    risk = RiskSettings(phenotypes=phenotypes)
    wish = Wish(ple=ple, delta=1e-5, rounds=RISK_ROUNDS, game_rounds=game_rounds, game_share=share, reserve=1)
    planned = plan_phases(wish, MaskingSettings(risk=risk, game=game or GameSettings()), sites)
    return tuple(phase.model_copy(update={"needs_public": False}) for phase in planned)  # RunSettings.phases


def real_design(places: Places, note: Note) -> Design:
    """The jobs of the study on the real exomes.

    Raises:
        InputError: The exomes are not there.
    """
    vcf, _ = exomes(places.source or Path("."))
    settings = DataSettings(kind="vcf", source=file_digest(vcf), sites=1024)

    def count(sites: int) -> int:
        if sites == settings.sites:
            return sites
        wanted = settings.model_copy(update={"sites": sites})
        return len(load(wanted, source=places.source, cache=places.cache, note=note).panel)

    return Design(settings, phases, count, federate)


def begun(names: set[str], runs: Path) -> bool:
    """Whether any run of these names is stored."""
    return bool(names & {path.stem for path in runs.glob("*.json")})


def write_results(jobs: Sequence[Job], out: Path, *, figures: bool = True) -> tuple[RunRecord, ...]:
    """Write everything that follows from the runs that are there: summary, tables, regression, figures.

    Args:
        jobs: All that the study asks for.
        out: results: `runs` below it holds the stored ones.
        figures: Whether to draw.
    """
    records = collect(jobs, out / "runs")
    names = {record.name for record in records}
    missing = [job.settings.name for job in jobs if job.settings.name not in names]
    found = regression.describe(records)
    write_summary(out / "reproduce.json", records, missing=missing, regression=found)
    write_tables(out / "tables.md", records, missing=missing, stale=stale(records), title="Results of the study")
    if found is not None:
        write_bytes(out / "regression.txt", (regression.table(records) + "\n").encode())
    if records and figures:
        write_figures(out / "figures", records)
    return records


def quick_data(source: Path | None) -> DataSettings | None:
    """The real data of the quick runs; None where there is no folder of real genomes."""
    if source is None or not source.is_dir():
        return None
    return DataSettings(kind="vcf", source=file_digest(exomes(source)[0]), sites=QUICK_SITES)


def check_quick(real: DataSettings | None, places: Places, *, workers: int, say: Callable[[str], None]) -> list[str]:
    """Make the quick runs and check them.

    Args:
        real: From `quick_data`.
        places: Data and results.
        workers: Processes.
        say: Told of every finished run.

    Returns:
        What is wrong, a line each.
    """
    made = make_runs(quick(phases, real), places, workers=workers, say=say)
    found = [f"{name}: {why}" for name, why in made.failed]
    return found + [f"{record.name}: {complaint}" for record in made.records for complaint in complaints(record)]
